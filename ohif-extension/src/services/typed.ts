/** What a reader has typed and not saved. It outlives the panel, which OHIF takes away behind another tab, and a reload of the page. */

import { keep, kept } from './tab';

export class Typed<Fields extends object> {
  private fields: Partial<Fields>;

  constructor(private readonly name: string) {
    this.fields = kept<Partial<Fields>>(name) ?? {};
  }

  get<Field extends keyof Fields>(field: Field): Fields[Field] | undefined {
    return this.fields[field];
  }

  keep<Field extends keyof Fields>(field: Field, value: Fields[Field]): void {
    this.fields[field] = value;
    keep(this.name, this.fields);
  }

  forget(field: keyof Fields): void {
    delete this.fields[field];
    keep(this.name, Object.keys(this.fields).length > 0 ? this.fields : null);
  }
}
