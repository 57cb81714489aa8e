/** Masks in one drawing with their image, as a slice is shown in half the time then. */

import type { Actor } from '../ohif';
import type { Images } from './images';

/**
 * Until the returned function is called, masks on stacks are drawn right after their image, blended over it. Cornerstone calls
 * them translucent, for which VTK draws the image's depth, the masks into two further pictures, and those over the whole canvas:
 * that pays where surfaces cross each other, and a mask lies flat on its slice. In a volume the image is drawn last, so
 * masks stay as they are there. A mask must not come before its image, which would be drawn over it (`Showing` sees to that).
 */
export function drawInOnePass(images: Images, isMask: (representationUid: string) => boolean): () => void {
  return images.onDrawn((canvas, added) => {
    if (canvas.setImageIdIndex) {
      added.filter(each => isMask(each.representationUID ?? '')).forEach(keepOpaque);
    }
  });
}

/** Cornerstone says "translucent" anew with every change of style. */
function keepOpaque({ actor }: Actor): void {
  const keep = () => actor.setForceOpaque?.(true);
  keep();
  actor.onModified(keep);
}
