/** The keys of the radiologist's seat: one table for OHIF's hotkeys, its commands, the panel and the keyboard map. */

export interface Key {
  /** Name of OHIF's command, and of what the panel hears. */
  command: Command;
  /** What to press, as OHIF's hotkeys (Mousetrap) call it. */
  keys: string;
  label: string;
}

export type Command =
  | 'sightlineAccept'
  | 'sightlineReject'
  | 'sightlineEdit'
  | 'sightlineAdd'
  | 'sightlineUndo'
  | 'sightlineNext'
  | 'sightlinePrevious'
  | 'sightlinePlay'
  | 'sightlineToggleOverlays'
  | 'sightlineSign'
  | 'sightlineAsk'
  | 'sightlinePriors'
  | 'sightlineHelp';

export const KEYS: readonly Key[] = [
  { command: 'sightlineNext', keys: 'j', label: 'Next finding' },
  { command: 'sightlinePrevious', keys: 'k', label: 'Previous finding' },
  { command: 'sightlineAccept', keys: 'a', label: 'Accept the finding' },
  { command: 'sightlineEdit', keys: 'e', label: 'Edit the finding' },
  { command: 'sightlineReject', keys: 'x', label: 'Reject the finding, then 1 to 5 for the reason' },
  { command: 'sightlineAdd', keys: 'n', label: 'Add a finding' },
  { command: 'sightlineUndo', keys: 'u', label: 'Undo the last verdict' },
  { command: 'sightlinePlay', keys: 'p', label: 'Play the reading step by step' },
  { command: 'sightlineToggleOverlays', keys: 'o', label: 'AI overlays off or on' },
  { command: 'sightlineAsk', keys: '/', label: 'Ask' },
  { command: 'sightlinePriors', keys: 'shift+p', label: 'Prior study beside this one' },
  { command: 'sightlineSign', keys: 'shift+s', label: 'Sign the report' },
  { command: 'sightlineHelp', keys: '?', label: 'Keyboard map' },
];

/** Where a command that was pressed anywhere in the viewer is heard. */
export class Keys {
  private readonly heard = new Set<(command: Command) => void>();

  /** Hear every command; returns how to stop. */
  subscribe(listener: (command: Command) => void): () => void {
    this.heard.add(listener);
    return () => this.heard.delete(listener);
  }

  press(command: Command): void {
    this.heard.forEach(listener => listener(command));
  }
}

/** One of OHIF's hotkeys. */
export interface Hotkey {
  commandName: string;
  keys: string | string[];
  label?: string;
}

/** OHIF's hotkeys with ours; of a key that both have, ours is meant (docs/viewer.md names them). */
export function withOurs(hotkeys: readonly Hotkey[]): Hotkey[] {
  const taken = new Set(KEYS.map(({ keys }) => keys));
  const others = hotkeys.filter(({ keys }) => !taken.has(Array.isArray(keys) ? keys.join('+') : keys));
  return [...others, ...KEYS.map(({ command, keys, label }) => ({ commandName: command, keys: [keys], label: `AI: ${label}` }))];
}
