// Perfetto's own trace processor, asked by SQL: node trace_processor.mjs FOLDER TRACE < ["select ...", ...]
//
// FOLDER holds engine_bundle.js and trace_processor*.wasm as the Perfetto UI ships them. The bundle is written for a web
// worker, so it gets what it looks for there: a `self`, a synchronous XMLHttpRequest, no `process`. Prints one list of
// rows a query, as JSON. Source of the numbers of messages and fields: Perfetto's protos/perfetto/trace_processor/
// trace_processor.proto.

import { readFileSync } from "node:fs";
import { basename, join } from "node:path";

const [APPEND, FINALIZE, QUERY] = [1, 2, 3]; // TraceProcessorMethod
const STREAM_MESSAGE = 1, SEQUENCE = 1, METHOD = 2, TRACE_DATA = 101, QUERY_ARGUMENTS = 103, SQL = 1;
const APPENDED = 201, ANSWER = 203, ERROR = 2, NAME = 1, BATCH = 3;
const KINDS = 1, INTEGERS = 2, FLOATS = 3, STRINGS = 5, IS_LAST = 6;
const [INTEGER, FLOAT, STRING] = [2n, 3n, 4n]; // CellType

const [folder, trace] = process.argv.slice(2);
const toText = (bytes) => new TextDecoder().decode(bytes);

function varint(number) {
  const found = [];
  for (number = BigInt(number); number > 127n; number >>= 7n) found.push(Number(number & 127n) | 128);
  return Uint8Array.from([...found, Number(number)]);
}

function* varints(data, start = 0) {
  for (let at = start; at < data.length; ) {
    let [value, shift, byte] = [0n, 0n, 128];
    for (; byte & 128; shift += 7n) value |= BigInt((byte = data[at++]) & 127) << shift;
    yield [value, at];
  }
}

const number = (field, value) => Buffer.concat([varint(field << 3), varint(value)]);
const bytes = (field, data) => Buffer.concat([varint((field << 3) | 2), varint(data.length), data]);

function* fields(data) {
  for (let at = 0; at < data.length; ) {
    let [key, value] = [0, 0];
    [key, at] = varints(data, at).next().value;
    [value, at] = varints(data, at).next().value;
    if ((key & 7n) === 2n) [value, at] = [data.subarray(at, at + Number(value)), at + Number(value)];
    yield [Number(key >> 3n), value];
  }
}

class Request {
  open(_, url) {
    this.url = url;
  }
  send() {
    this.response = Uint8Array.from(readFileSync(join(folder, basename(this.url)))).buffer;
  }
}

async function start() {
  const worker = { location: { href: "http://localhost/" } };
  const code = readFileSync(join(folder, "engine_bundle.js"), "utf8");
  const names = ["self", "process", "WorkerGlobalScope", "XMLHttpRequest", "console", code];
  new Function(...names)(worker, undefined, class {}, Request, { ...console, log() {}, warn() {} });
  await new Promise(setImmediate); // the program is loaded at once, and set up by what the bundle put behind that
  const { port1, port2 } = new MessageChannel();
  worker.onmessage({ data: port2 });
  return port1;
}

const port = await start();
const inbox = [];
let wake = () => {};
port.onmessage = (event) => {
  for (const [, message] of fields(event.data)) inbox.push(message);
  wake();
};

let sequence = 0;
async function* ask(method, ...rest) {
  const message = [number(SEQUENCE, ++sequence), number(METHOD, method), ...rest];
  port.postMessage(Uint8Array.from(bytes(STREAM_MESSAGE, Buffer.concat(message))));
  for (;;) {
    while (!inbox.length) await new Promise((resolve) => (wake = resolve));
    yield inbox.shift();
  }
}

function* inside(message, wanted) {
  for (const [field, value] of fields(message)) {
    if (field !== wanted) continue;
    for (const [part, found] of fields(value)) {
      if (part === ERROR) throw new Error(toText(found));
      yield [part, found];
    }
  }
}

function* cells(batch) {
  const found = new Map(fields(batch));
  const all = (field) => [...varints(found.get(field) ?? [])].map(([value]) => value);
  const [integers, strings] = [all(INTEGERS), toText(found.get(STRINGS) ?? Buffer.of()).split("\0")];
  const floats = found.get(FLOATS);
  let at = 0;
  for (const kind of all(KINDS)) {
    if (kind === INTEGER) yield Number(BigInt.asIntN(64, integers.shift()));
    else if (kind === FLOAT) yield new DataView(floats.buffer, floats.byteOffset + 8 * at++, 8).getFloat64(0, true);
    else yield kind === STRING ? strings.shift() : null;
  }
}

async function query(sql) {
  const [names, values] = [[], []];
  for await (const message of ask(QUERY, bytes(QUERY_ARGUMENTS, bytes(SQL, Buffer.from(sql))))) {
    let isLast = false;
    for (const [part, value] of inside(message, ANSWER)) {
      if (part === NAME) names.push(toText(value));
      if (part === BATCH) {
        values.push(...cells(value));
        isLast ||= new Map(fields(value)).has(IS_LAST);
      }
    }
    if (isLast) break;
  }
  const rows = Array.from({ length: values.length / names.length }, (_, row) => values.slice(row * names.length));
  return rows.map((row) => Object.fromEntries(names.map((name, place) => [name, row[place]])));
}

for await (const message of ask(APPEND, bytes(TRACE_DATA, readFileSync(trace)))) {
  [...inside(message, APPENDED)];
  break;
}
for await (const _ of ask(FINALIZE)) break;
const answers = [];
for (const sql of JSON.parse(readFileSync(0, "utf8"))) answers.push(await query(sql));
console.log(JSON.stringify(answers));
process.exit(0);
