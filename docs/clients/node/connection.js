// How a program is connected to maywe: servers in turn, retries, keep-alive and credentials.
'use strict';

const fs = require('node:fs');
const path = require('node:path');
const { parseArgs } = require('node:util');
const grpc = require('@grpc/grpc-js');
const protoLoader = require('@grpc/proto-loader');

// The contract, as one file, and the retry policy and balancing that belong to it: see README.md.
const generated = (name) => fs.readFileSync(path.join(__dirname, 'generated', name));
const definitions = protoLoader.loadFileDescriptorSetFromBuffer(generated('maywe.binpb'), {
  keepCase: true, // customer_id, as in the contract
  longs: Number, // what we read of them fits
  enums: String, // 'VERDICT_ALLOW'
  defaults: true, // a field that was not sent is there, with its default
  oneofs: true,
});
const { DecisionService } = grpc.loadPackageDefinition(definitions).maywe.v1;

const OPTIONS = {
  'grpc.service_config': generated('service_config.json').toString(),
  'grpc.service_config_disable_resolution': 1,
  'grpc.max_receive_message_length': 67108864,
  'grpc.keepalive_time_ms': 30000,
  'grpc.keepalive_timeout_ms': 10000,
  'grpc.initial_reconnect_backoff_ms': 100,
  'grpc.max_reconnect_backoff_ms': 500,
};

// Reads the command line: where the servers are, by what they know us, and what else `options` names.
function readArguments(options) {
  const common = ['address', 'ca-file', 'certificate-file', 'key-file', 'token-file'];
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { ...Object.fromEntries(common.map((name) => [name, { type: 'string' }])), ...options },
  });
  return { ...values, positionals };
}

// Opens the one client of a program: all its calls share it, and it is never opened anew.
function openClient(args) {
  return new DecisionService(args.address, credentialsOf(args), OPTIONS);
}

function credentialsOf(args) {
  if (!args['ca-file']) return grpc.credentials.createInsecure();
  const read = (name) => (args[name] ? fs.readFileSync(args[name]) : null);
  const tls = grpc.credentials.createSsl(read('ca-file'), read('key-file'), read('certificate-file'));
  if (!args['token-file']) return tls;
  // Read for every call: whoever renews the token replaces the file.
  const token = grpc.credentials.createFromMetadataGenerator((_, give) => {
    fs.readFile(args['token-file'], 'utf8', (error, text) => {
      if (error) return give(error);
      const metadata = new grpc.Metadata();
      metadata.set('authorization', `Bearer ${text.trim()}`);
      give(null, metadata);
    });
  });
  return grpc.credentials.combineChannelCredentials(tls, token);
}

const deadline = (seconds) => new Date(Date.now() + seconds * 1000);

// Makes a call that is no stream; a failure is thrown.
function call(client, method, request, seconds) {
  return new Promise((resolve, reject) => {
    client[method](request, { deadline: deadline(seconds) }, (error, answer) => {
      if (error) reject(error);
      else resolve(answer);
    });
  });
}

const wait = (seconds) => new Promise((resolve) => { setTimeout(resolve, seconds * 1000); });

module.exports = { call, deadline, definitions, openClient, readArguments, wait };
