/** The panel's looks, in the colours of OHIF's dark theme; text has at least 4.5 to 1 upon its ground. */
export const STYLE = `
.sightline { height: 100%; color: #e6f0f7; background: #090c29; font-size: 13px; line-height: 1.4; }
.sightline-column { display: flex; flex-direction: column; height: 100%; }
.sightline-column[hidden] { display: none; }
.sightline h2 { margin: 0; padding: 6px 8px 0; font-size: 13px; font-weight: 600; }
.sightline-scroll { flex: 1 1 auto; min-height: 120px; overflow-y: auto; padding: 0 8px 8px; }
.sightline header { padding: 8px 8px 4px; }
.sightline p { margin: 0; }
.sightline h3 { display: flex; align-items: center; gap: 8px; margin: 12px 0 4px; color: #5acce6; font-size: 12px; font-weight: 600; letter-spacing: .04em; text-transform: uppercase; }
.sightline ul, .sightline ol, .sightline dl { margin: 0; padding: 0; list-style: none; }
.sightline button { color: inherit; cursor: pointer; }
.sightline button:disabled { opacity: .5; cursor: default; }
.sightline button:focus-visible, .sightline input:focus-visible, .sightline select:focus-visible, .sightline textarea:focus-visible,
.sightline summary:focus-visible { outline: 2px solid #5acce6; outline-offset: 1px; }
.sightline a { color: inherit; text-decoration: underline; }
.sightline a:focus-visible { outline: 2px solid #5acce6; outline-offset: 1px; }
.sightline kbd { padding: 0 4px; border: 1px solid #4d7896; border-radius: 3px; font-size: 11px; }
.sightline-notice { padding: 4px 8px; border-left: 3px solid #e0a93f; background: #2a2413; color: #f3d795; font-size: 12px; }
.sightline-status { margin-top: 6px; padding: 4px 8px; border-left: 3px solid #5acce6; background: #0b2034; }
.sightline-status progress { display: block; width: 100%; height: 6px; margin-top: 4px; accent-color: #5acce6; }
.sightline-warning { border-color: #e0a93f; background: #2a2413; color: #f3d795; }
.sightline-alert { border-color: #ff7b73; background: #2d1615; color: #f4c0be; }
.sightline-quiet { color: #9fb6c6; font-size: 12px; }
.sightline footer { margin-top: 12px; }
.sightline li > .sightline-small, .sightline p > .sightline-small, .sightline-toast .sightline-small { margin-left: 6px; }
.sightline-tools, .sightline-verdicts, .sightline-fields, .sightline-places { display: flex; flex-wrap: wrap; align-items: center; gap: 4px; margin-top: 6px; }
.sightline-small { white-space: nowrap; padding: 1px 8px; border: 1px solid #4d7896; border-radius: 10px; font-size: 11px; font-weight: 400; letter-spacing: 0; text-transform: none; }
.sightline-small[aria-pressed="true"] { background: #14395b; border-color: #5acce6; }
.sightline-verdicts button, .sightline-ask button[type=submit], .sightline-sign > button:not(.sightline-small), .sightline-status button:not(.sightline-small) {
  padding: 2px 10px; border: 1px solid #5acce6; border-radius: 4px; background: #0b2034; font-size: 12px; }
.sightline-verdicts button:hover:enabled, .sightline-small:hover:enabled { background: #14395b; }
.sightline-impression { font-weight: 600; }
.sightline-critical h3 { color: #ff8f88; }
.sightline-urgent h3 { color: #f0b95a; }
.sightline-finding { margin-bottom: 4px; padding: 4px 6px; border-left: 4px solid; border-radius: 3px; background: #0b2034; content-visibility: auto; contain-intrinsic-size: auto 44px; }
.sightline-finding.sightline-unsigned { border-left-style: dashed; }
.sightline-finding.sightline-current { background: #14395b; }
.sightline-finding.sightline-waiting .sightline-sentence { font-style: italic; }
.sightline-sentence { display: grid; grid-template-columns: 10px 1fr auto; gap: 6px; align-items: start; width: 100%; padding: 0; border: 0; background: transparent; text-align: left; }
.sightline-finding:hover { outline: 1px solid #35617f; }
.sightline-sentence small { display: block; color: #a9bdca; font-size: 11px; }
.sightline-chip { width: 10px; height: 10px; margin-top: 4px; border-radius: 2px; }
.sightline-badge { padding: 0 6px; border: 1px solid #4d7896; border-radius: 8px; color: #c9dae6; font-size: 10px; font-weight: 400; letter-spacing: 0; text-transform: none; white-space: nowrap; }
.sightline-badge.sightline-draft { border-style: dashed; border-color: #e0a93f; color: #f3d795; }
.sightline-badge.sightline-decided { border-color: #58c98b; color: #8fe0b3; }
.sightline-flag { margin-top: 3px; color: #f3d795; font-size: 12px; }
.sightline-details { margin-top: 4px; color: #c9dae6; font-size: 12px; }
.sightline-details summary { cursor: pointer; color: #a9bdca; }
.sightline-details dl { display: grid; grid-template-columns: auto 1fr; gap: 1px 8px; }
.sightline-details dt { color: #a9bdca; }
.sightline-details dd { margin: 0; overflow-wrap: anywhere; }
.sightline-form { margin-top: 6px; padding: 6px 8px; border: 1px solid #35617f; border-radius: 4px; background: #0b2034; }
.sightline-form h3 { margin-top: 0; justify-content: space-between; }
.sightline-form label { display: block; flex: 1 1 80px; color: #c9dae6; font-size: 12px; }
.sightline-form input, .sightline-form textarea, .sightline-form select, .sightline-ask input:not([type=checkbox]) {
  width: 100%; box-sizing: border-box; padding: 3px 6px; border: 1px solid #4d7896; border-radius: 3px; background: #041322; color: #e6f0f7; font: inherit; }
.sightline-menu { display: flex; flex-direction: column; gap: 2px; margin-top: 4px; }
.sightline-menu button { padding: 2px 8px; border: 1px solid #4d7896; border-radius: 3px; background: #041322; text-align: left; }
.sightline-keys div { display: grid; grid-template-columns: 70px 1fr; }
.sightline-keys dd { margin: 0; }
.sightline-player { margin-top: 6px; padding: 6px 8px; border: 1px solid #5acce6; border-radius: 4px; background: #0b2034; }
.sightline-notices { padding: 0 8px; }
.sightline-notices p { margin-bottom: 2px; }
.sightline-toast { min-height: 18px; color: #c9dae6; font-size: 12px; }
.sightline-ask { padding: 4px 8px; border-top: 1px solid #1d3b54; }
.sightline-ask .sightline-fields > input { flex: 1 1 0; min-width: 0; }
.sightline-answer { margin-bottom: 4px; padding: 4px 8px; border-left: 4px dashed #e0a93f; background: #0b2034; }
.sightline-check { display: inline-flex; align-items: center; gap: 4px; color: #c9dae6; font-size: 11px; }
.sightline-sign { display: flex; align-items: center; gap: 8px; padding: 6px 8px; border-top: 1px solid #1d3b54; font-size: 12px; }
.sightline-sign > span, .sightline-sign > div { flex: 1 1 auto; }
.sightline-sign-form { margin: 0 8px 6px; }
`;
