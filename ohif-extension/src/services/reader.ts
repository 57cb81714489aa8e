/** Who judges: who is signed in, or, where nobody has to, who the panel was told once; this browser keeps that answer. */

import type { components } from '../types';
import { call } from './api';

type Person = components['schemas']['Person'];

export interface Reader {
  family: string;
  given: string;
  organization: string;
}

const KEY = 'sightline.reader';

export function storedReader(): Reader | null {
  try {
    const { family, given, organization } = JSON.parse(localStorage.getItem(KEY) ?? 'null') as Reader;
    return family && organization ? { family, given: given ?? '', organization } : null;
  } catch {
    return null;
  }
}

export function storeReader(reader: Reader): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(reader));
  } catch {
    // A browser that keeps nothing asks again at the next visit.
  }
}

/** Who is signed in; their organization is empty where Sightline does not know it. Null where nobody signs in, or who it is cannot be learned now. */
export async function askWhoIsSignedIn(): Promise<Reader | null> {
  const reply = await call<components['schemas']['Session']>('/session');
  if (reply.kind !== 'ok' || !reply.body.is_asked) {
    return null;
  }
  const [family = '', given = ''] = reply.body.name.split('^');
  return { family, given, organization: reply.body.organization ?? '' };
}

/** As DICOM writes a person's name: Family^Given (PS3.5 6.2.1); its delimiters are no letters of a name. */
export function personOf({ family, given, organization }: Reader): Person {
  const clean = (text: string) => text.replace(/[\^=\\]/g, ' ').trim();
  return { name: [family, given].map(clean).filter(Boolean).join('^'), organization: clean(organization), login: '' };
}

/** A name of DICOM's as people say it. */
export function spoken(name: string): string {
  const [family = '', given = ''] = name.split('^');
  return given ? `${given} ${family}` : family;
}
