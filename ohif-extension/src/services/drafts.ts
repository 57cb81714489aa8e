/** Answers that nobody has kept yet: masks in a colour of their own, inside dashed frames. */

import type { Host } from '../ohif';
import type { Images } from './images';
import { Labelmap } from './labelmap';
import type { Outlines } from './outlines';
import { unpacked } from './pixels';
import type { Drawn } from './places';

const COLOUR = [255, 255, 255] as const;
export const DRAFT_COLOUR = '#ffffff';

export class Drafts {
  private labelmaps: Labelmap[] = [];
  private round = 0;

  constructor(
    private readonly host: Host,
    private readonly images: Images,
    private readonly outlines: Outlines
  ) {}

  /** Draw these instead of those before, and go to the first, unless it is on the slice that is looked at. */
  async show(places: readonly Drawn[]): Promise<void> {
    this.clear();
    const round = this.round;
    for (const [index, place] of places.entries()) {
      if (place.mask === null) {
        continue;
      }
      const options = { id: `sightline-draft-${round}-${index}`, label: 'AI draft', colour: COLOUR };
      const labelmap = await Labelmap.on(this.host, this.images, place.series_uid, place.start[0], options);
      if (round !== this.round) {
        labelmap.remove(); // another answer came, or the reader had enough
        return;
      }
      this.labelmaps.push(labelmap);
      labelmap.write(unpacked(place.mask, place));
    }
    const [first] = places;
    if (first) {
      const middle = { row: (first.start[1] + first.stop[1] - 1) / 2, column: (first.start[2] + first.stop[2] - 1) / 2 };
      await this.images.show(first.series_uid, this.sliceOf(first), middle);
    }
    await Promise.all(this.labelmaps.map(labelmap => labelmap.lay()));
    this.outlines.set(places.map(place => ({ ...place, colour: DRAFT_COLOUR })));
  }

  /** A reader who asked on one slice of many stays there. */
  private sliceOf(place: Drawn): number {
    const canvas = this.images.activeCanvas;
    const here = canvas && this.images.here(canvas);
    const isOnIt = here?.seriesUid === place.series_uid && here.slice >= place.start[0] && here.slice < place.stop[0];
    return isOnIt ? here.slice : this.images.keySlice(place);
  }

  clear(): void {
    this.round += 1;
    this.outlines.set([]);
    this.labelmaps.forEach(labelmap => labelmap.remove());
    this.labelmaps = [];
  }
}
