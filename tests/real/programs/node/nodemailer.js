// Sends one message with nodemailer: what to send, and where, is a JSON object on standard input.
'use strict';

const { readFileSync } = require('node:fs');
const { createTransport } = require('nodemailer');

const where = JSON.parse(readFileSync(0));

const transport = createTransport({
    host: 'localhost',
    port: where.port,
    secure: where.secure,
    requireTLS: Boolean(where.authority) && !where.secure,
    authMethod: where.method,
    auth: { user: where.name, pass: where.password },
    tls: { ca: where.authority ? readFileSync(where.authority) : undefined },
});

transport.sendMail(where.message).then(
    told => process.stdout.write(JSON.stringify({ accepted: told.accepted, response: told.response })),
    error => process.stdout.write(JSON.stringify({ refused: error.code, code: error.responseCode }))
);
