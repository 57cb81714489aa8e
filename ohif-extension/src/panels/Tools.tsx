/** What can be done with the report as a whole. */

import type { Seat } from '../services/seat';
import { spoken, personOf } from '../services/reader';
import { useStore } from '../services/store';

export function Tools({ seat }: { seat: Seat }) {
  const { reader, account, areOverlaysOn, form } = useStore(seat);
  const who = account ?? reader;
  const { answer } = useStore(seat.reading);
  const report = answer?.kind === 'known' ? answer.study.report : null;
  return (
    <div className="sightline-tools" role="toolbar" aria-label="Report">
      {report && (
        <>
          <Tool keys="P" words="Play" hint="Visit the places of the reading one after the other" onClick={() => seat.play()} />
          <Tool keys="N" words="Add" hint="Add a finding that was missed" onClick={() => seat.draftFinding(null)} />
          <Tool keys="U" words="Undo" hint="Undo the last verdict" onClick={() => seat.undo()} />
        </>
      )}
      <Tool keys="O" words="Overlays" hint="AI boxes and masks off or on" isOn={areOverlaysOn} onClick={() => seat.toggleOverlays()} />
      <Tool keys="Shift+P" words="Prior" hint="The newest prior beside this study" onClick={() => void seat.showPrior()} />
      {report && (
        <Tool
          words="History"
          hint="Who decided what, and when"
          isOn={form === 'history'}
          onClick={() => seat.open(form === 'history' ? null : 'history')}
        />
      )}
      <Tool keys="?" words="Keys" hint="Keyboard map" isOn={form === 'keys'} onClick={() => seat.open(form === 'keys' ? null : 'keys')} />
      <Tool
        words={who ? spoken(personOf(who).name) : 'Who are you?'}
        hint={reader ? `You judge as ${spoken(personOf(reader).name)}, ${reader.organization}. Change it.` : 'Say in whose name you judge'}
        onClick={() => seat.open(form === 'reader' ? null : 'reader')}
      />
    </div>
  );
}

interface ToolProps {
  words: string;
  hint: string;
  keys?: string;
  isOn?: boolean;
  onClick(): void;
}

function Tool({ words, hint, keys, isOn, onClick }: ToolProps) {
  return (
    <button type="button" className="sightline-small" title={keys ? `${hint} (${keys})` : hint} aria-pressed={isOn} onClick={onClick}>
      {words}
    </button>
  );
}
