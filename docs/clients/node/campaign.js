// A campaign engine: filters an audience of any size, and goes on where it was interrupted.
//
// Reads customer ids from the file AUDIENCE, one a line, and appends a line for each to the file
// VERDICTS, in the same order: the customer, ALLOW, DENY or UNDETERMINED, and why, with tabs between.
// Started again with the same files it goes on after the last line. Ends with status 1 when there are
// answers missing, and with 2 when something has to be changed before anything can be asked. A verdict is
// of the instant at which it came: send soon, or ask again by BatchCheck before you do.
//
//     node campaign.js --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
//         --purpose advertising --channel sms audience verdicts
'use strict';

const fs = require('node:fs');
const readline = require('node:readline');
const { call, deadline, openClient, readArguments, wait } = require('./connection');
const { WAIT_SECONDS, failureOf, stop } = require('./failure');

// Sent and not answered: this keeps memory small, here and there, however slow either side is.
const CHUNKS_UNDER_WAY_MAX = 4;
const FAILURES_MAX = 30; // in a row, without an answer in between
const UNDETERMINED_ASKED_MAX = 10; // how often we ask about whom the servers can not know
const CHECKS_PER_BATCH_MAX = 1000;
const BATCH_SECONDS = 10;

const isUndetermined = (answer) => answer.verdict === 'VERDICT_UNDETERMINED';

async function main() {
  const args = readArguments({
    purpose: { type: 'string' },
    channel: { type: 'string' },
    'chunk-size': { type: 'string', default: '1000' }, // at most 10000
    'stream-seconds': { type: 'string', default: '60' },
  });
  const [audience, verdicts] = args.positionals;
  const done = await countWholeLines(verdicts);
  const chunks = chunksOf(audience, done, Number(args['chunk-size']));
  const client = openClient(args);
  const campaign = new Campaign(client, args, chunks);
  let failures = 0;
  let undetermined = 0;
  try {
    while (!campaign.isDone) {
      try {
        for await (const answers of campaign.answers()) {
          failures = 0;
          undetermined += answers.filter(isUndetermined).length;
          fs.appendFileSync(verdicts, answers.map(lineOf).join(''));
        }
      } catch (error) {
        failures += 1;
        const failure = failureOf(error);
        if (failure.action !== 'LATER') return stop(failure);
        if (failures === FAILURES_MAX) {
          console.error('GIVEN UP', failure.status, failure.reason);
          process.exitCode = 1;
          return;
        }
        await wait(failure.waitSeconds);
      }
    }
    process.exitCode = undetermined ? 1 : 0;
  } finally {
    client.close();
    await chunks.return();
  }
}

// One question about an audience.
class Campaign {
  constructor(client, args, chunks) {
    this.isDone = false;
    this.client = client;
    this.question = { purpose: args.purpose, channel: args.channel };
    this.seconds = Number(args['stream-seconds']);
    this.chunks = chunks;
    this.waiting = []; // read and not answered: another stream begins with them
  }

  // Asks by one stream, and gives the answers to each chunk. A stream stays with the server that it
  // began with. It has a deadline, so that nothing waits for ever, and so that servers which came
  // later get their part.
  async* answers() {
    const stream = this.client.FilterAudience({ deadline: deadline(this.seconds) });
    stream.on('error', () => {}); // thrown below; an error after the last answer is none
    try {
      stream.write({ question: { contact: this.question } });
      for (const chunk of this.waiting) stream.write({ chunk: { customer_ids: chunk } });
      await this.sendMore(stream);
      for await (const { verdicts } of stream) {
        if (!verdicts) {
          this.isDone = true;
          return;
        }
        const answers = await this.settled(this.waiting[0].map((customer, place) => ({
          customer, verdict: verdicts.verdicts[place], reason: verdicts.reasons[place],
        })));
        this.waiting.shift();
        await this.sendMore(stream);
        yield answers;
      }
    } finally {
      stream.cancel();
    }
  }

  // Sends chunks while not too many are under way; after the last one half-closes.
  async sendMore(stream) {
    while (this.waiting.length < CHUNKS_UNDER_WAY_MAX) {
      const { done, value: chunk } = await this.chunks.next();
      if (done) {
        stream.end();
        return;
      }
      this.waiting.push(chunk);
      stream.write({ chunk: { customer_ids: chunk } });
    }
  }

  // Asks again, a few times, about those of whom a server could not know.
  async settled(answers) {
    for (let asked = 0; asked < UNDETERMINED_ASKED_MAX; asked += 1) {
      const open = answers.filter(isUndetermined);
      if (!open.length) break;
      await wait(WAIT_SECONDS);
      for (let from = 0; from < open.length; from += CHECKS_PER_BATCH_MAX) {
        const some = open.slice(from, from + CHECKS_PER_BATCH_MAX);
        const checks = some.map((one) => ({ contact: { customer_id: one.customer, ...this.question } }));
        const { results } = await call(this.client, 'BatchCheck', { checks }, BATCH_SECONDS);
        // What a chunk took has no fault; elsewhere look whether a result is an `error`.
        results.forEach(({ contact: { verdict, reason } }, place) => {
          Object.assign(some[place], { verdict, reason });
        });
      }
    }
    return answers;
  }
}

// Gives the rest of the audience in chunks, as they are asked for.
async function* chunksOf(file, done, size) {
  let skipped = 0;
  let chunk = [];
  for await (const line of linesOf(file)) {
    if (skipped < done) {
      skipped += 1;
    } else if (chunk.push(line.trim()) === size) {
      yield chunk;
      chunk = [];
    }
  }
  if (chunk.length) yield chunk;
}

const linesOf = (file) => readline.createInterface({ input: fs.createReadStream(file) });

function lineOf({ customer, verdict, reason }) {
  return `${customer}\t${verdict.replace('VERDICT_', '')}\t${reason.replace('REASON_', '')}\n`;
}

// Counts the lines of a file that may not be there, and cuts off one that was not finished.
async function countWholeLines(file) {
  let count = 0;
  let end = 0;
  let read = 0;
  fs.closeSync(fs.openSync(file, 'a'));
  for await (const bytes of fs.createReadStream(file)) {
    for (let at = bytes.indexOf('\n'); at >= 0; at = bytes.indexOf('\n', at + 1)) {
      count += 1;
      end = read + at + 1;
    }
    read += bytes.length;
  }
  fs.truncateSync(file, end);
  return count;
}

main();
