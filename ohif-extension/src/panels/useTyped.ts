/** What is typed into a form: a state that the seat keeps until the form is closed, whatever becomes of the panel. */

import { useState } from 'react';

import type { Fields, Seat } from '../services/seat';

export function useTyped<Field extends keyof Fields>(
  { typed }: Seat,
  field: Field,
  start: () => Fields[Field]
): [Fields[Field], (value: Fields[Field]) => void] {
  const [value, setValue] = useState<Fields[Field]>(() => typed.get(field) ?? start());
  return [
    value,
    now => {
      typed.keep(field, now);
      setValue(now);
    },
  ];
}
