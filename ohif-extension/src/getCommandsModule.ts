/** Our commands: what OHIF's hotkeys, its toolbar and other extensions can call. */

import { KEYS, type Command, type Keys } from './services/keys';

export function getCommandsModule(keys: Keys) {
  const definition = (command: Command) => ({ commandFn: () => keys.press(command) });
  return {
    definitions: Object.fromEntries(KEYS.map(({ command }) => [command, definition(command)])),
    defaultContext: 'DEFAULT',
  };
}
