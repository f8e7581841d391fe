// What to do when a call fails. Whatever it is, nobody is called, written to or told anything.
'use strict';

const { status: Code } = require('@grpc/grpc-js');
const { definitions } = require('./connection');

// LATER: nobody knows the answer now: wait, go on with others, and ask again.
// MEND: this customer's id is at fault, and only mending it helps; others can be asked about.
// STOP: the next call would fail the same way: end, and tell whoever runs the program.
const LATER = new Set([
  Code.UNAVAILABLE, // no server, or a server without its stores
  Code.RESOURCE_EXHAUSTED, // a limit is reached, the servers' or our own
  Code.DEADLINE_EXCEEDED, // not in time
  Code.CANCELLED, // the connection broke in the middle
  Code.ABORTED, // somebody else was first
  Code.INTERNAL, // a defect: the server's log has it under the id in the details
  Code.UNKNOWN, // as above, of something between us
]);

const WAIT_SECONDS = 1; // where the server does not say how long to wait

// Reads a failed call: what to do, how many seconds to wait first, and why.
function failureOf(error) {
  if (typeof error.code !== 'number') throw error; // no call failed, this program did
  const details = detailsOf(error);
  const retry = details['google.rpc.RetryInfo']?.retry_delay;
  const fields = details['google.rpc.BadRequest']?.field_violations.map((one) => one.field) ?? [];
  let action = LATER.has(error.code) ? 'LATER' : 'STOP';
  if (action === 'STOP' && fields.join() === 'customer_id') action = 'MEND';
  return {
    action,
    waitSeconds: retry ? retry.seconds + retry.nanos / 1e9 : WAIT_SECONDS,
    status: Code[error.code],
    reason: (details['google.rpc.ErrorInfo']?.reason ?? '').replace('ERROR_REASON_', ''),
    message: error.details,
  };
}

// Gives the details of a failed call by their type. A proxy or gRPC itself may have ended it: then
// there are none.
function detailsOf(error) {
  const found = {};
  for (const bytes of error.metadata?.get('grpc-status-details-bin') ?? []) {
    for (const { type_url: url, value } of definitions['google.rpc.Status'].deserialize(bytes).details) {
      const name = url.slice(url.lastIndexOf('/') + 1);
      if (definitions[name]) found[name] = definitions[name].deserialize(value);
    }
  }
  return found;
}

// Says that something has to be changed, and ends the program so.
function stop({ status, reason, message }) {
  console.error('STOP', status, reason, message);
  process.exitCode = 2;
}

module.exports = { WAIT_SECONDS, failureOf, stop };
