// A partner of the ecosystem: asks which data sets of a customer it may receive, for itself.
//
// For each customer it prints, with tabs between: the customer, RECEIVE, DO_NOT_RECEIVE, LATER or
// MEND, and the data sets that are allowed or why nothing is known. Why not is told to no partner.
// Ends with status 2 when something has to be changed before anything can be asked, and says so.
//
//     node partner.js --address maywe.bank.example:7443 --ca-file bank.pem \
//         --certificate-file telecom.pem --key-file telecom.key \
//         --partner telecom --purpose advertising --dataset contacts ivan olga
'use strict';

const { call, openClient, readArguments, wait } = require('./connection');
const { failureOf, stop } = require('./failure');

async function main() {
  const args = readArguments({
    partner: { type: 'string' }, // who we are, as the catalog has it
    purpose: { type: 'string' },
    dataset: { type: 'string', multiple: true },
    'deadline-seconds': { type: 'string', default: '2' }, // retries included
  });
  const client = openClient(args);
  try {
    for (const customer of args.positionals) {
      const request = {
        customer_id: customer, partner: args.partner, datasets: args.dataset, purpose: args.purpose,
      };
      try {
        const answer = await call(client, 'MayShare', request, Number(args['deadline-seconds']));
        // Without ALLOW for all of them together, some may still be allowed.
        const verdict = answer.verdict === 'VERDICT_ALLOW' ? 'RECEIVE' : 'DO_NOT_RECEIVE';
        console.log([customer, verdict, answer.allowed_datasets.join()].join('\t'));
      } catch (error) {
        const failure = failureOf(error);
        if (failure.action === 'STOP') return stop(failure);
        console.log([customer, failure.action, failure.reason || failure.status].join('\t'));
        if (failure.action === 'LATER') await wait(failure.waitSeconds);
      }
    }
  } finally {
    client.close();
  }
}

main();
