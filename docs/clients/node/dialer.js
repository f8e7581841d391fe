// A dialer: asks right before every call, and calls nobody of whom it does not know.
//
// Reads customer ids from standard input, one a line. For each it prints, with tabs between: the
// customer, CALL, DO_NOT_CALL, LATER or MEND, and until when or why. Ends with status 2 when
// something has to be changed before anybody can be called, and then says so.
//
//     node dialer.js --address dns:///maywe-decision:7443 --ca-file ca.pem --token-file token \
//         --purpose advertising --channel phone < customers
'use strict';

const readline = require('node:readline');
const { call, openClient, readArguments, wait } = require('./connection');
const { failureOf, stop } = require('./failure');

async function main() {
  const args = readArguments({
    purpose: { type: 'string' },
    channel: { type: 'string' },
    'deadline-seconds': { type: 'string', default: '2' }, // retries included
  });
  const client = openClient(args);
  try {
    for await (const line of readline.createInterface({ input: process.stdin })) {
      const request = { customer_id: line.trim(), purpose: args.purpose, channel: args.channel };
      try {
        const answer = await call(client, 'MayContact', request, Number(args['deadline-seconds']));
        say(request.customer_id, ...meaningOf(answer));
      } catch (error) {
        const failure = failureOf(error);
        if (failure.action === 'STOP') return stop(failure);
        say(request.customer_id, failure.action, failure.reason || failure.status);
        // It would most likely be the same with the next customer.
        if (failure.action === 'LATER') await wait(failure.waitSeconds);
      }
    }
  } finally {
    client.close();
    process.stdin.destroy();
  }
}

// Tells what to do with an answer, and until when or why.
function meaningOf(answer) {
  if (answer.verdict !== 'VERDICT_ALLOW') return ['DO_NOT_CALL', answer.reason.replace('REASON_', '')];
  // Only where an operator lets servers go on that may not have heard of a revocation.
  if (answer.outside_promise) return ['LATER', 'OUTSIDE_PROMISE'];
  if (!answer.not_after) return ['CALL', 'no end'];
  // Whoever lets the call wait asks again, at the latest then.
  const end = new Date(answer.not_after.seconds * 1000);
  return ['CALL', `until ${end.toISOString().replace('.000Z', 'Z')}`];
}

function say(...words) {
  console.log(words.join('\t'));
}

main();
