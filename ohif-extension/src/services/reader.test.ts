/** A reader's name as DICOM writes it and as people say it. */

import { expect, test } from 'vitest';

import { personOf, spoken } from './reader';

test.each([
  [{ family: 'Curie', given: 'Marie', organization: 'Institut' }, 'Curie^Marie', 'Marie Curie'],
  [{ family: 'Curie', given: '', organization: 'Institut' }, 'Curie', 'Curie'],
  [{ family: 'Cu^rie', given: 'Ma=rie\\', organization: 'Institut' }, 'Cu rie^Ma rie', 'Ma rie Cu rie'],
])('%o', (reader, name, said) => {
  expect(personOf(reader)).toEqual({ name, organization: 'Institut', login: '' });
  expect(spoken(name)).toBe(said);
});
