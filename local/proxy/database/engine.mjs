#!/usr/bin/env node
// A query engine for prisma-client-python 0.11, which LiteLLM uses. Prisma's own engine is a binary that no package registry
// has; npm has it as WASM. That one takes JSON queries only, so this server translates: GraphQL in, JSON queries to the WASM
// engine, and its answers back in the form of Prisma 5.4, which the Python client reads. Started by the client, with a port.
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { PrismaPg } from '@prisma/adapter-pg';
import * as glue from '@prisma/client/runtime/query_engine_bg.postgresql.mjs';
import { bindAdapter } from '@prisma/driver-adapter-utils';
import { parse } from 'graphql';
import pg from 'pg';

// The version whose binary the Python client expects.
const VERSION = 'ac9d7041ed77bcc8a8dbd2ab6616b39013829574';
const ACTIONS = ['findUnique', 'findFirst', 'findMany', 'createMany', 'createOne', 'updateMany', 'updateOne', 'upsertOne', 'deleteMany',
  'deleteOne', 'aggregate', 'groupBy'];
const RAW = new Set(['queryRaw', 'executeRaw']);
// The operators of a filter on a JSON field; their values are not JSON.
const FILTER_WORDS = new Set(['path', 'mode', 'string_contains', 'string_starts_with', 'string_ends_with']);
const NULLS = new Set(['DbNull', 'JsonNull', 'AnyNull']);
// PostgreSQL's types that Prisma's adapter does not know, and what they are read as: "char", name and void as text, name[] as text[].
const READ_AS = new Map([[18, 25], [19, 25], [2278, 25], [1003, 1009]]);

/** Which fields of which models hold JSON, and which lead to another model. GraphQL's text has no types of its own. */
function readModels(schema) {
  const blocks = [...schema.matchAll(/^model\s+(\w+)\s*\{([\s\S]*?)^\}/gm)];
  const names = new Set(blocks.map(([, name]) => name));
  return new Map(blocks.map(([, name, body]) => {
    const fields = new Map([...body.matchAll(/^\s+(\w+)\s+(\w+)/gm)].map(([, field, type]) => [field, type]));
    const isJson = (field) => fields.get(field) === 'Json';
    const leadsTo = (field) => (names.has(fields.get(field)) ? fields.get(field) : undefined);
    return [name, { isJson, leadsTo }];
  }));
}

class Translator {
  constructor(schema) {
    this.models = readModels(schema);
  }

  /** Turn a GraphQL document with one operation into a query of the JSON protocol. */
  query(text) {
    const [field] = parse(text).definitions[0].selectionSet.selections;
    const name = field.name.value;
    if (RAW.has(name)) return { action: name, query: { ...this.selected(field), selection: {} } };
    const action = ACTIONS.find((each) => name.startsWith(each));
    if (!action) throw new Error(`unknown operation ${name}`);
    const orThrow = name.endsWith('OrThrow') ? 'OrThrow' : '';
    const modelName = name.slice(action.length, name.length - orThrow.length);
    return { modelName, action: action + orThrow, query: this.selected(field, modelName) };
  }

  selected(field, model) {
    const given = field.arguments.map((each) => [each.name.value, this.value(each.value, model)]);
    const wanted = (field.selectionSet?.selections ?? []).map((each) => {
      const inner = each.selectionSet || each.arguments.length;
      return [each.name.value, inner ? this.selected(each, this.next(model, each.name.value)) : true];
    });
    return { arguments: Object.fromEntries(given), selection: Object.fromEntries(wanted) };
  }

  next(model, field) {
    return this.models.get(model)?.leadsTo(field) ?? model;
  }

  value(node, model) {
    switch (node.kind) {
      case 'IntValue': return Number.isSafeInteger(Number(node.value)) ? Number(node.value) : { $type: 'BigInt', value: node.value };
      case 'FloatValue': return Number(node.value);
      case 'NullValue': return null;
      case 'EnumValue': return NULLS.has(node.value) ? { $type: 'Enum', value: node.value } : node.value;
      case 'ListValue': return node.values.map((each) => this.value(each, model));
      case 'ObjectValue': return Object.fromEntries(node.fields.map(({ name: { value: name }, value }) => {
        const isJson = this.models.get(model)?.isJson(name);
        return [name, isJson ? this.json(value) : this.value(value, this.next(model, name))];
      }));
      default: return node.value; // a string or a boolean
    }
  }

  json(node) {
    switch (node.kind) {
      case 'StringValue': return { $type: 'Json', value: node.value };
      case 'ListValue': return node.values.map((each) => this.json(each));
      case 'ObjectValue': return Object.fromEntries(node.fields.map(({ name: { value: name }, value }) =>
        [name, FILTER_WORDS.has(name) ? this.value(value) : this.json(value)]));
      default: return this.value(node);
    }
  }
}

/** Take the tags off: dates, JSON, bytes, decimals and large integers are texts in GraphQL's answers. */
function untagged(value) {
  if (Array.isArray(value)) return value.map(untagged);
  if (value === null || typeof value !== 'object') return value;
  if (typeof value.$type === 'string' && 'value' in value) return value.value;
  return Object.fromEntries(Object.entries(value).map(([name, each]) => [name, untagged(each)]));
}

/** Turn the columns, types and rows of a raw query into one object of typed values for each row. */
function typedRows({ columns, types, rows }) {
  return rows.map((row) => Object.fromEntries(row.map((value, index) => [columns[index], typed(types[index], value)])));
}

function typed(type, value) {
  if (value === null || value === undefined) return { prisma__type: 'null', prisma__value: null };
  if (!type.endsWith('-array')) return { prisma__type: type, prisma__value: value };
  return { prisma__type: 'array', prisma__value: value.map((each) => typed(type.slice(0, -'-array'.length), each)) };
}

function answered(query, answer) {
  if (answer.errors) return { errors: answer.errors.map(withReachability) };
  const [result] = Object.values(answer.data);
  return { data: { result: RAW.has(query.action) && result?.rows ? typedRows(result) : untagged(result) } };
}

/** Report an unreachable server like Prisma's own engine (P1001), which is what LiteLLM looks for. */
function withReachability(error) {
  const seen = error.user_facing_error;
  const unreachable = /not reachable|NotReachable|ECONNREFUSED|Connection ?[Cc]losed|Connection terminated|terminating connection|starting up|shutting down/;
  if (seen?.error_code !== 'P2010' || !unreachable.test(seen.message)) return error;
  const message = `Can't reach database server\n\nPlease make sure your database server is running.`;
  return { error: message, user_facing_error: { is_panic: false, message, error_code: 'P1001', meta: {} } };
}

function failure(error) {
  const message = String(error?.message ?? error);
  let ofEngine;
  try { ofEngine = JSON.parse(message); } catch { /* it is not one of the engine's own */ }
  const seen = ofEngine?.error_code ? ofEngine : { is_panic: false, message, error_code: 'P5000', meta: {} };
  return { errors: [withReachability({ error: message, user_facing_error: seen })] };
}

class Client extends pg.Client {
  constructor(options) {
    super(options);
    // Before the client's own listener, which the same object is passed to.
    this.connection.on('rowDescription', ({ fields }) => {
      for (const field of fields) field.dataTypeID = READ_AS.get(field.dataTypeID) ?? field.dataTypeID;
    });
  }
}

function databaseUrl() {
  const given = process.env.OVERWRITE_DATASOURCES; // a list, as JSON
  const url = new URL((given && JSON.parse(given)[0]?.url) || process.env.DATABASE_URL);
  const limit = Number(url.searchParams.get('connection_limit')) || 10;
  url.search = ''; // the rest is for Prisma's own engine
  return { url: url.toString(), limit };
}

async function connect(schema) {
  const { url, limit } = databaseUrl();
  const { wasm } = createRequire(import.meta.url)('@prisma/client/runtime/query_engine_bg.postgresql.wasm-base64.js');
  const module = new WebAssembly.Module(Buffer.from(wasm, 'base64'));
  const { exports } = new WebAssembly.Instance(module, { './query_engine_bg.js': glue });
  glue.__wbg_set_wasm(exports);
  exports.__wbindgen_start();
  const pool = new pg.Pool({ connectionString: url, max: limit, Client });
  pool.on('error', () => {}); // an idle connection was lost; the next query opens another
  const adapter = bindAdapter(await new PrismaPg(pool).connect());
  const options = {
    datamodel: schema, logLevel: 'error', logQueries: false, configDir: '.', env: { DATABASE_URL: url },
    ignoreEnvVarErrors: true, engineProtocol: 'json', enableTracing: false,
  };
  const engine = new glue.QueryEngine(options, () => {}, adapter);
  await engine.connect('{}', '1');
  return engine;
}

class Server {
  constructor(engine, translator) {
    this.engine = engine;
    this.translator = translator;
    this.requests = 1; // the first was to connect
  }

  async answer(path, body, transaction) {
    const id = String(++this.requests);
    if (path === '/status') return { status: 'ok' };
    if (path === '/') return this.run(JSON.parse(body), transaction, id);
    if (path === '/transaction/start') {
      const { max_wait = 2000, timeout = 5000, isolation_level } = JSON.parse(body);
      return JSON.parse(await this.engine.startTransaction(JSON.stringify({ max_wait, timeout, isolation_level }), '{}', id));
    }
    const [, name, end] = /^\/transaction\/([^/]+)\/(commit|rollback)$/.exec(path) ?? [];
    if (!end) throw new Error(`unknown path ${path}`);
    const ended = end === 'commit' ? this.engine.commitTransaction(name, '{}', id) : this.engine.rollbackTransaction(name, '{}', id);
    return JSON.parse((await ended) || '{}');
  }

  async run(body, transaction, id) {
    const ask = async (query) => JSON.parse(await this.engine.query(JSON.stringify(query), '{}', transaction, id));
    if (!body.batch) {
      const query = this.translator.query(body.query);
      return answered(query, await ask(query));
    }
    const batch = body.batch.map((each) => this.translator.query(each.query));
    const answer = await ask({ batch, transaction: body.transaction ? {} : undefined });
    if (!answer.batchResult) return { errors: (answer.errors ?? []).map(withReachability) };
    return { batchResult: answer.batchResult.map((each, index) => answered(batch[index], each)) };
  }

  listen(port) {
    const server = createServer((request, response) => {
      const chunks = [];
      request.on('data', (chunk) => chunks.push(chunk)).on('end', async () => {
        const path = request.url.split('?')[0];
        const body = Buffer.concat(chunks).toString();
        const answer = await this.answer(path, body, request.headers['x-transaction-id']).catch(failure);
        response.writeHead(200, { 'content-type': 'application/json' }).end(JSON.stringify(answer));
      });
    });
    server.keepAliveTimeout = 120_000;
    server.listen(port, '127.0.0.1');
  }
}

const words = process.argv.slice(2);
if (words.includes('--version')) {
  console.log(`query-engine ${VERSION}`);
} else {
  const schema = readFileSync(process.env.PRISMA_DML_PATH, 'utf8');
  new Server(await connect(schema), new Translator(schema)).listen(Number(words[words.indexOf('-p') + 1]));
  for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));
  // The client ends its engine; where the client was killed, the engine ends itself.
  const parent = process.ppid;
  setInterval(() => process.ppid !== parent && process.exit(0), 1000).unref();
}
