/** One call of Sightline's API, and everything that it can come to. */

/** Never an exception: an API that is away, or of another version, is an answer too. */
export type Reply<Body> =
  | { kind: 'ok'; body: Body }
  | { kind: 'refused'; status: number; detail: string; problem: Record<string, unknown> }
  | Away;

/** Sightline cannot be asked now: it does not answer, or the session has ended. */
export interface Away {
  kind: 'away';
  why: string;
  isSignedOut?: boolean;
}

/** The address of a resource, at the server that this module was loaded from, or else at that of the page. */
export function addressOf(path: string): string {
  const { protocol, origin } = new URL(import.meta.url);
  return `${protocol.startsWith('http') ? origin : location.origin}/api/v1${path}`;
}

/** Where people sign in; from there they come to the study list. */
export function signInAddress(): string {
  return addressOf('/session/login?back=%2F');
}

export function ofStudy(studyUid: string, rest: string): string {
  return `/studies/${encodeURIComponent(studyUid)}${rest}`;
}

export async function call<Body>(
  path: string,
  { post, signal }: { post?: unknown; signal?: AbortSignal | undefined } = {}
): Promise<Reply<Body>> {
  let response: Response;
  try {
    response = await fetch(addressOf(path), {
      signal: signal ?? null,
      ...(post === undefined ? {} : { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(post) }),
    });
  } catch {
    return { kind: 'away', why: 'Sightline does not answer.' };
  }
  const body: unknown = await response.json().catch(() => null);
  if (response.ok && body !== null) {
    return { kind: 'ok', body: body as Body };
  }
  if (response.status === 401) {
    return { kind: 'away', why: 'Your session has ended.', isSignedOut: true };
  }
  const problem = (body ?? {}) as Record<string, unknown>;
  const detail = typeof problem.detail === 'string' ? problem.detail : `Sightline answers with an error (${response.status}).`;
  return response.status >= 500 || response.ok
    ? { kind: 'away', why: detail }
    : { kind: 'refused', status: response.status, detail, problem };
}
