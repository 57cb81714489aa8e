/**
 * The administrator's page. It shows what the API says and asks for what a button says; what may be asked for, and what it does, the API
 * decides. Everything is drawn as text, never as markup.
 * @import { components } from '../../ohif-extension/src/types'
 * @typedef {components['schemas']} Schemas
 */

const PAUSE_MS = 2000;
const LOOK_EVERY_MS = 60_000;

/** @param {string} id */
const byId = id => /** @type {HTMLElement} */ (document.getElementById(id));
/** @param {string} id */
const field = id => /** @type {HTMLInputElement} */ (byId(id));
/** @param {string} id */
const button = id => /** @type {HTMLButtonElement} */ (byId(id));

/**
 * An element with its attributes, properties that are functions, and children.
 * @param {string} name @param {Record<string, string | number | (() => void)>} [attributes] @param {...(Node | string)} children
 */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (typeof value === 'function') made.addEventListener(key, value);
    else made.setAttribute(key, String(value));
  }
  made.append(...children);
  return made;
}

/** @param {...(Node | string)} cells */
const row = (...cells) => make('tr', {}, ...cells.map(cell => make('td', {}, cell)));
/** @param {string} words */
const chip = words => make('span', { class: `chip ${words}` }, words);
/** @param {string} uid */
const code = uid => make('code', {}, uid);

/** @param {string} moment */
function time(moment) {
  const date = new Date(moment);
  const isToday = date.toDateString() === new Date().toDateString();
  return make('time', { datetime: moment, title: date.toString() }, isToday ? date.toLocaleTimeString() : date.toLocaleString());
}

/** @param {number} seconds */
const duration = seconds =>
  seconds < 100 ? `${seconds.toFixed(1)} s` : seconds < 6000 ? `${Math.round(seconds / 60)} min` : `${Math.round(seconds / 3600)} h`;
/** @param {Record<string, number>} parts */
const durations = parts => Object.entries(parts).map(([part, seconds]) => `${part} ${duration(seconds)}`).join(' · ');

/** @param {string} path @param {RequestInit} [request] @returns {Promise<any>} */
async function ask(path, request) {
  const answer = await fetch(`/api/v1/${path}`, request);
  if (answer.ok) return answer.status === 204 ? null : answer.json();
  throw new Error(answer.status === 401 ? 'The session has ended; load this page again to sign in.' : (await answer.json()).detail);
}

/** @param {string} path @param {object} [body] */
const order = (path, body = {}) =>
  ask(path, { method: 'POST', headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });

/** Do something, and say what is wrong where it fails. @param {() => Promise<unknown>} doing */
async function attempt(doing) {
  try {
    await doing();
    byId('trouble').hidden = true;
  } catch (error) {
    byId('trouble').textContent = error instanceof Error ? error.message : String(error);
    byId('trouble').hidden = false;
  }
}

/**
 * Bring a table up to date: a body for each item, drawn again only where the item has changed, so that what has the focus keeps it.
 * @template T @param {string} id @param {T[]} items @param {(item: T) => string | number} key @param {(item: T) => HTMLElement[]} draw
 */
function fill(id, items, key, draw) {
  const table = byId(id);
  const before = new Map([...table.querySelectorAll('tbody')].map(body => [body.dataset.key, body]));
  items.forEach((item, index) => {
    const name = String(key(item));
    const content = JSON.stringify(item);
    const body = before.get(name) ?? make('tbody', { 'data-key': name });
    before.delete(name);
    if (body.dataset.content !== content) {
      const focused = body.contains(document.activeElement) ? document.activeElement?.getAttribute('data-does') : null;
      body.dataset.content = content;
      body.replaceChildren(...draw(item));
      if (focused) /** @type {HTMLElement | null} */ (body.querySelector(`[data-does="${focused}"]`))?.focus();
    }
    if (table.children[index + 1] !== body) table.insertBefore(body, table.children[index + 1] ?? null);
  });
  for (const gone of before.values()) gone.remove();
}

/** Studies ------------------------------------------------------------------------------------------------------------------------- */

const STATES = ['arriving', 'queued', 'running', 'done', 'refused', 'failed'];
let chosen = 'all';
/** @type {Set<number>} */
const unfolded = new Set();

/** Steps that are a button; a priority is chosen from a list. @type {Record<string, string>} */
const BUTTONS = { retry: 'Retry', replay: 'Read again' };
const PRIORITIES = ['urgent', 'routine', 'low'];

/** @param {Schemas['StudyWork']} study */
function drawStudy(study) {
  const isUnfolded = unfolded.has(study.job_id);
  const fold = make(
    'button',
    {
      'data-does': 'fold',
      'aria-expanded': String(isUnfolded),
      'aria-label': `Steps of study ${study.study_uid}`,
      click: () => {
        unfolded[isUnfolded ? 'delete' : 'add'](study.job_id);
        refold(study);
      },
    },
    isUnfolded ? '−' : '+',
  );
  const state = make('span', {}, chip(study.state));
  if (study.progress) {
    const { share, doing } = study.progress;
    state.append(make('progress', { max: 1, value: share, 'aria-label': `Reading of study ${study.study_uid}` }), doing);
  }
  const path = `work/studies/${study.study_uid}`;
  const steps = study.steps.flatMap(step => {
    const label = BUTTONS[step];
    if (!label) return [];
    return make('button', { 'data-does': step, 'aria-label': `${label} study ${study.study_uid}`, click: () => press(`${path}/${step}`) }, label);
  });
  const [sources, priority, tools] = [study.sources.join(', '), drawPriority(study, path), make('span', { class: 'tools' }, ...steps)];
  const line = row(fold, time(study.updated), code(study.study_uid), sources, study.description, state, study.reason, priority, tools);
  return isUnfolded ? [line, drawSteps(study)] : [line];
}

/** @param {Schemas['StudyWork']} study @param {string} path */
function drawPriority(study, path) {
  if (!study.steps.includes('prioritise')) return study.priority;
  const choose = () => press(`${path}/priority`, { priority: /** @type {HTMLSelectElement} */ (list).value });
  const options = PRIORITIES.map(each => make('option', each === study.priority ? { selected: '' } : {}, each));
  const list = make('select', { 'data-does': 'priority', 'aria-label': `Priority of study ${study.study_uid}`, change: choose }, ...options);
  return list;
}

/** @param {Schemas['StudyWork']} study */
function refold(study) {
  const body = /** @type {HTMLElement} */ (document.querySelector(`#list tbody[data-key="${study.job_id}"]`));
  body.replaceChildren(...drawStudy(study));
  /** @type {HTMLElement} */ (body.querySelector('[data-does=fold]')).focus();
}

/** @param {Schemas['StudyWork']} study */
function drawSteps(study) {
  const parts = durations(study.parts);
  const told = make('td', { colspan: 9 }, `Revision ${study.revision}, ${study.attempts} attempts${parts && `: ${parts}`}`);
  attempt(async () => {
    /** @type {Schemas['JobHistory']} */
    const { history } = await ask(`jobs/${study.job_id}`);
    told.append(make('ol', {}, ...history.map(step => make('li', {}, time(step.time), ` ${step.target}: ${step.reason}`))));
  });
  return make('tr', { class: 'steps' }, told);
}

/** @param {string} path @param {object} [body] */
const press = (path, body) =>
  attempt(async () => {
    await order(path, body);
    await refresh();
  });

/** @param {Schemas['Work']} work */
async function showStudies(work) {
  const study = field('study').value.trim();
  const query = new URLSearchParams(study ? { study_uid: study } : chosen === 'all' ? {} : { state: chosen });
  /** @type {Schemas['StudyWork'][]} */
  const studies = await ask(chosen === 'stuck' && !study ? 'work/stuck' : `work/studies?${query}`);
  const counts = /** @type {Record<string, number>} */ (work.jobs);
  for (const filter of byId('filters').querySelectorAll('button')) {
    const name = filter.dataset.name ?? '';
    filter.setAttribute('aria-pressed', String(name === chosen));
    filter.textContent = name in counts ? `${name} ${counts[name]}` : name;
  }
  button('retry-failed').disabled = !counts.failed || isRetrying;
  const parts = durations(work.part_seconds);
  byId('times').textContent =
    `The oldest queued study has waited ${duration(work.oldest_queued_seconds)}${parts && `; a reading takes, in the middle, ${parts}`}.`;
  byId('senders').textContent = work.senders.map(each => `${each.calling_ae} sends ${each.study_uid}.`).join(' ');
  byId('none').hidden = studies.length > 0;
  fill('list', studies, each => each.job_id, drawStudy);
}

/** @type {Schemas['Paused'] | null} */
let paused = null;

/** @param {Schemas['Paused'] | null} pause */
function showPause(pause) {
  paused = pause;
  const since = pause && new Date(pause.since).toLocaleString();
  const words = pause ? `Paused since ${since} by ${pause.by}${pause.reason && `: ${pause.reason}`}` : '';
  if (byId('paused').textContent !== words) byId('paused').textContent = words;
  button('pause').textContent = pause ? 'Resume' : 'Pause';
  button('pause').disabled = false;
}

function pauseOrResume() {
  if (paused) return press('work/resume');
  const reason = prompt('Why is no study to be taken up? What runs is finished, and receiving goes on.', '');
  return reason === null ? undefined : press('work/pause', { reason });
}

let isRetrying = false;

/** Try all failed studies again, a portion at a time. */
async function retryFailed() {
  const bar = /** @type {HTMLProgressElement} */ (byId('retried'));
  isRetrying = true;
  bar.hidden = false;
  bar.removeAttribute('value');
  await attempt(async () => {
    let done = 0;
    for (let left = 1; left > 0; ) {
      /** @type {Schemas['Retried']} */
      const answer = await order('work/retry');
      done += answer.study_uids.length;
      left = answer.study_uids.length ? answer.left : 0;
      bar.max = done + left || 1;
      bar.value = done;
    }
  });
  isRetrying = false;
  bar.hidden = true;
  await refresh();
}

/** Health -------------------------------------------------------------------------------------------------------------------------- */

async function showHealth() {
  byId('looked').textContent = 'Looking…';
  /** @type {Schemas['NamedPart'][]} */
  const parts = await ask('doctor');
  const ill = parts.filter(part => !part.ok).length;
  byId('ill').textContent = ill ? String(ill) : '';
  byId('looked').textContent = `Looked at ${new Date().toLocaleTimeString()}.`;
  fill('parts', parts, part => part.name, part => [row(part.name, chip(part.ok ? 'well' : 'ill'), part.why)]);
}

/** Rules --------------------------------------------------------------------------------------------------------------------------- */

async function showRules() {
  /** @type {Schemas['RulesOut']} */
  const { rules, timezone } = await ask('rules');
  const zone = timezone && ` Hours are of ${timezone}.`;
  byId('rules-of').textContent = rules.length ? `The first that fits decides; where none does, a study is read as routine.${zone}` : 'There are no rules: every study that the model can read is read as routine.';
  fill('in-force', rules, rule => rule.name, rule => {
    const asked = Object.entries(rule.asks).map(([what, values]) => `${what.replace('_', ' ')} ${values.join(' or ')}`);
    return [row(rule.name, asked.join('; ') || 'nothing: it always fits', rule.read ? `read, ${rule.priority}` : 'not read', rule.why)];
  });
}

/** @param {Schemas['RulingOut']} ruling */
function showRuling(ruling) {
  const passed = ruling.passed_over.map(each => make('li', {}, `${each.rule}: ${each.why}`));
  const decided = make('p', {}, make('span', { class: `chip ${ruling.read ? 'well' : 'refused'}` }, ruling.read ? `read, ${ruling.priority}` : 'not read'), ` ${ruling.why}`);
  byId('ruling').replaceChildren(decided, ...(passed.length ? [make('p', { class: 'quiet' }, 'Passed over:'), make('ul', {}, ...passed)] : []));
}

/** @param {SubmitEvent} event @param {(given: Record<string, string>) => Promise<Schemas['RulingOut']>} judge */
function submit(event, judge) {
  event.preventDefault();
  const given = [...new FormData(/** @type {HTMLFormElement} */ (event.target))].filter(([, value]) => value !== '');
  attempt(async () => showRuling(await judge(/** @type {Record<string, string>} */ (Object.fromEntries(given)))));
}

/** @param {Record<string, string>} given */
const judgeSeries = ({ arrived, ...given }) => order('rules/test', arrived ? { ...given, arrived: new Date(arrived).toISOString() } : given);

/** Quarantine ---------------------------------------------------------------------------------------------------------------------- */

async function showQuarantine() {
  /** @type {Schemas['Held'][]} */
  const held = await ask('quarantine');
  byId('held').textContent = held.length ? String(held.length) : '';
  fill('files', held, each => `${each.instance_uid} ${each.came}`, each => {
    const release = () => {
      if (confirm(`Send everything that is held of instance ${each.instance_uid} to the archive?`)) press(`quarantine/${each.instance_uid}/release`);
    };
    const label = `Release instance ${each.instance_uid}`;
    return [row(time(each.came), code(each.study_uid), code(each.instance_uid), `${Math.ceil(each.size_bytes / 1024)} kB`, make('button', { 'data-does': 'release', 'aria-label': label, click: release }, 'Release'))];
  });
}

/** Audit trail --------------------------------------------------------------------------------------------------------------------- */

async function showTrail() {
  const study = field('about').value.trim();
  /** @type {Schemas['AuditEntry'][]} */
  const entries = await ask(`audit?${new URLSearchParams(study ? { study_uid: study } : {})}`);
  fill('entries', entries, each => each.number, each => [
    row(String(each.number), time(each.time), each.is_success ? each.event : chip('failed'), each.who || '—', each.address, code(each.study_uid), `${each.is_success ? '' : `${each.event}: `}${each.detail}`),
  ]);
}

async function verifyChain() {
  /** @type {Schemas['Chain']} */
  const chain = await ask('audit/chain');
  byId('chain').className = chain.ok ? 'well' : 'ill';
  byId('chain').textContent = chain.ok ? `${chain.entries} entries, unchanged; the newest hash is ${chain.hash}` : chain.why;
}

/** The page ------------------------------------------------------------------------------------------------------------------------ */

/** @type {Record<string, (work: Schemas['Work']) => Promise<void>>} */
const SHOW = { studies: showStudies, rules: showRules, quarantine: showQuarantine, trail: showTrail };

const part = () => (document.getElementById(location.hash.slice(1))?.tagName === 'SECTION' ? location.hash.slice(1) : 'studies');

async function refresh() {
  await attempt(async () => {
    /** @type {Schemas['Work']} */
    const work = await ask('work');
    showPause(work.paused);
    await SHOW[part()]?.(work);
    byId('alive').textContent = `As of ${new Date().toLocaleTimeString()}`;
  });
}

function turnTo() {
  for (const section of document.querySelectorAll('section')) section.hidden = section.id !== part();
  for (const link of document.querySelectorAll('nav a')) {
    if (link.getAttribute('href') === `#${part()}`) link.setAttribute('aria-current', 'page');
    else link.removeAttribute('aria-current');
  }
  refresh();
  if (part() === 'trail') attempt(verifyChain);
}

async function live() {
  for (;;) {
    if (!document.hidden) await refresh();
    await new Promise(resolve => setTimeout(resolve, PAUSE_MS));
  }
}

async function start() {
  for (const name of ['all', 'stuck', ...STATES]) {
    const choose = () => {
      chosen = name;
      field('study').value = '';
      refresh();
    };
    byId('filters').append(make('button', { 'data-name': name, 'aria-pressed': 'false', click: choose }, name));
  }
  field('study').addEventListener('change', refresh);
  field('about').addEventListener('change', refresh);
  button('retry-failed').addEventListener('click', retryFailed);
  button('pause').addEventListener('click', pauseOrResume);
  byId('of-study').addEventListener('submit', event => submit(event, given => ask(`rules/studies/${given.study_uid}`)));
  byId('of-series').addEventListener('submit', event => submit(event, judgeSeries));
  button('look').addEventListener('click', () => attempt(showHealth));
  button('verify').addEventListener('click', () => attempt(verifyChain));
  button('leave').addEventListener('click', () => attempt(() => order('session/logout').then(() => location.reload())));
  addEventListener('hashchange', turnTo);
  await attempt(async () => {
    /** @type {Schemas['Session']} */
    const session = await ask('session');
    byId('who').textContent = session.login;
    button('leave').hidden = !session.is_asked;
  });
  turnTo();
  attempt(showHealth);
  attempt(showQuarantine);
  setInterval(() => document.hidden || attempt(showHealth), LOOK_EVERY_MS);
  live();
}

start();
