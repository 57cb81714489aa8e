/** The panel's looks, in the colours of OHIF's dark theme. */
export const STYLE = `
.sightline { height: 100%; overflow-y: auto; padding: 10px; color: #e6f0f7; font-size: 13px; line-height: 1.4; }
.sightline h3 { margin: 14px 0 6px; color: #5acce6; font-size: 12px; font-weight: 600; letter-spacing: .04em; text-transform: uppercase; }
.sightline ul { margin: 0; padding: 0; list-style: none; }
.sightline li { margin-bottom: 6px; }
.sightline-notice { padding: 6px 8px; border-left: 3px solid #e0a93f; background: #2a2413; color: #f3d795; }
.sightline-alert { margin-top: 8px; padding: 6px 8px; border-left: 3px solid #d9534f; background: #2d1615; color: #f4c0be; }
.sightline-quiet { margin-top: 8px; color: #8fa9bb; font-size: 12px; }
.sightline-impression { font-weight: 600; }
.sightline-sentence { display: flex; width: 100%; gap: 8px; justify-content: space-between; padding: 6px 8px; border-radius: 4px;
  background: #0b2034; text-align: left; }
button.sightline-sentence:hover, button.sightline-sentence:focus-visible { background: #14395b; outline: 1px solid #5acce6; }
.sightline-placeless { background: transparent; color: #a9bdca; }
.sightline-score { color: #8fa9bb; font-variant-numeric: tabular-nums; }
.sightline-other { margin: 4px 4px 0 8px; padding: 1px 6px; border: 1px solid #35617f; border-radius: 10px; font-size: 11px; }
.sightline-flagged .sightline-sentence { border-left: 3px solid #e0a93f; }
.sightline-flag { margin: 3px 0 0 8px; color: #f3d795; font-size: 12px; }
`;
