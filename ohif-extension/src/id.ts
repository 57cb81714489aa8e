/** The names by which OHIF's configuration and other extensions call this one. */
export const EXTENSION_ID = '@sightline/ohif-extension';
export const PANEL_NAME = 'findings';
export const PANEL_ID = `${EXTENSION_ID}.panelModule.${PANEL_NAME}`;
