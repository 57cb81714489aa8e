/** What this tab of the browser keeps when the page is loaded anew. A browser that keeps nothing is no error: the panel itself still does. */

const PREFIX = 'sightline.';

export function kept<Value>(name: string): Value | null {
  try {
    return JSON.parse(sessionStorage.getItem(PREFIX + name) ?? 'null') as Value | null;
  } catch {
    return null;
  }
}

/** Keep a value in the place of the one before; null forgets it. */
export function keep(name: string, value: unknown): void {
  try {
    if (value === null) {
      sessionStorage.removeItem(PREFIX + name);
    } else {
      sessionStorage.setItem(PREFIX + name, JSON.stringify(value));
    }
  } catch {
    // It is full, or closed to us.
  }
}
