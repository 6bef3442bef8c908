/**
 * A run as one HTML file: its nodes, attempts and calls over time, what each cost, details under the pointer.
 *
 * 1. The file asks nobody for anything and runs no script; a browser that obeys its policy would refuse both.
 * 2. Whatever came from outside is escaped, the invisible made visible. 3. Rows out of sight are not laid out.
 */
import { showText } from '@runloop/core';
import { duration, exactDollars, time, counted } from '../screen.ts';
import type { AttemptSpan, CallSpan, NodeSpan, Timeline } from './timeline.ts';

const style = `
:root{color-scheme:light dark;--bar:#4878b0;--call:#8fb4dc;--bad:#c0504d;--wait:#d9a441;--line:#8884}
body{font:13px/1.5 system-ui,sans-serif;margin:1rem}
h1{font-size:1.1rem;margin:0}
p{margin:.2rem 0 1rem;opacity:.8}
.row,summary{display:grid;grid-template-columns:minmax(12rem,22rem) 1fr 7rem 8rem;gap:.5rem;border-bottom:1px solid var(--line)}
.row{content-visibility:auto;contain-intrinsic-height:1.5rem}
.row:hover,summary:hover{background:#8882}
.name{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.call .name{padding-left:2.5rem;opacity:.85}
.num{text-align:right;font-variant-numeric:tabular-nums;white-space:nowrap}
.lane{position:relative}
.lane i{position:absolute;top:.3rem;bottom:.3rem;min-width:2px;border-radius:2px;background:var(--bar)}
.call .lane i{background:var(--call)}
.lane i.bad{background:var(--bad)}
.lane i.wait{background:var(--wait)}
summary{cursor:pointer;list-style:none}`;

export function htmlOf(line: Timeline): string {
  const took = line.ended_ms - line.began_ms;
  const policy = `<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">`;
  const reason = line.reason === null ? '' : `: ${line.reason}`;
  const about = `${line.trace_id} · ${line.state}${reason} · accepted ${time(line.began_ms)} UTC · took ${duration(took)} · ${counted(line.cost.tokens, 'token')} · ${exactDollars(line.cost.usd_nano)}`;
  return [
    `<!doctype html><html lang="en"><head><meta charset="utf-8">${policy}<title>${escaped(line.name)}</title><style>${style}</style></head><body>`,
    `<h1>${escaped(line.name)}</h1><p>${escaped(about)}</p>`,
    ...line.nodes.map((node) => nodeRows(line, node)),
    '</body></html>\n',
  ].join('\n');
}

function nodeRows(line: Timeline, node: NodeSpan): string {
  const bars = node.attempts.map((attempt) => bar(line, attempt.began_ms, attempt.ended_ms, colourOf(attempt.state)));
  const first = node.attempts[0]?.began_ms;
  const last = node.attempts.at(-1)?.ended_ms ?? line.ended_ms;
  const took = first === undefined ? '' : duration(last - first);
  const details = [
    `${node.node} · ${node.agent} · ${node.state}${node.from_tape ? ' (from the tape)' : ''}`,
    ...(node.reason === null ? [] : [node.reason]),
    ...node.attempts.map((attempt) => attemptLine(line, attempt)),
  ].join('\n');
  const cells = cellsOf(`${node.node}  (${node.agent})`, bars.join(''), took, node.cost.usd_nano);
  const calls = node.attempts.flatMap((attempt) => attempt.calls.map((call) => callRow(line, attempt, call)));
  if (calls.length === 0) return `<div class="row" title="${escaped(details)}">${cells}</div>`;
  return `<details open><summary title="${escaped(details)}">${cells}</summary>${calls.join('\n')}</details>`;
}

function callRow(line: Timeline, attempt: AttemptSpan, call: CallSpan): string {
  const ended = call.ended_ms ?? attempt.ended_ms;
  const began = call.began_ms ?? ended ?? attempt.began_ms;
  const details = [
    `${call.op} · call ${call.index + 1} of attempt ${attempt.attempt} · ${call.class}`,
    call.ok === null ? 'no result' : call.ok ? 'ok' : (call.error ?? 'failed'),
    ...(call.outside === null ? [] : [call.outside]),
    `arguments ${call.args_hash} ${call.args_bytes ?? '?'} bytes, result ${call.value_bytes ?? '?'} bytes`,
    ...(call.cost.tokens === 0 ? [] : [`${counted(call.cost.tokens, 'token')}, ${exactDollars(call.cost.usd_nano)}`]),
  ].join('\n');
  const took = call.began_ms === null || ended === null ? '' : duration(ended - began);
  const cells = cellsOf(call.op, bar(line, began, ended, call.ok === false ? 'bad' : ''), took, call.cost.usd_nano);
  return `<div class="row call" title="${escaped(details)}">${cells}</div>`;
}

function cellsOf(name: string, bars: string, took: string, usdNano: number): string {
  const cost = usdNano === 0 ? '' : exactDollars(usdNano);
  return `<span class="name">${escaped(name)}</span><span class="lane">${bars}</span><span class="num">${escaped(took)}</span><span class="num">${cost}</span>`;
}

function attemptLine({ began_ms }: Timeline, attempt: AttemptSpan): string {
  const reason = attempt.reason === null ? '' : `: ${attempt.reason}`;
  return `attempt ${attempt.attempt} at ${attempt.began_ms - began_ms} ms: ${attempt.state}${reason}, ${counted(attempt.calls.length, 'call')}`;
}

function bar(line: Timeline, began: number, ended: number | null, colour: string): string {
  const whole = Math.max(1, line.ended_ms - line.began_ms);
  const share = (ms: number): string => ((Math.min(Math.max(0, ms), whole) / whole) * 100).toFixed(3);
  const width = share((ended ?? line.ended_ms) - began);
  return `<i class="${colour}" style="left:${share(began - line.began_ms)}%;width:${width}%"></i>`;
}

function colourOf(state: string): string {
  return state === 'failed' || state === 'cancelled' ? 'bad' : state === 'waiting' ? 'wait' : '';
}

const entities: { readonly [char: string]: string } = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  "'": '&#39;',
};

function escaped(text: string): string {
  return showText(text).replace(/[&<>"']/g, (char) => entities[char] ?? '');
}
