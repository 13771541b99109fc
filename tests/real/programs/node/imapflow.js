// What a reader does with imapflow: one JSON object on standard input says where, one on standard
// output says what came of it.
'use strict';

const { readFileSync } = require('node:fs');
const { ImapFlow } = require('imapflow');

const where = JSON.parse(readFileSync(0));

function client() {
    return new ImapFlow({
        host: 'localhost',
        port: where.port,
        secure: where.secure,
        auth: { user: where.name, pass: where.password, loginMethod: where.method },
        tls: { ca: where.authority ? readFileSync(where.authority) : undefined },
        logger: false,
    });
}

async function text(stream) {
    const chunks = [];
    for await (const chunk of stream) {
        chunks.push(chunk);
    }
    return Buffer.concat(chunks).toString();
}

async function work(reader) {
    const told = {};
    told.mailboxes = (await reader.list()).map(one => [one.path, one.specialUse || '']);
    await reader.mailboxCreate(['Work', 'Old']);
    await reader.mailboxRename(['Work', 'Old'], ['Work', '2026']);
    const path = (await reader.list()).map(one => one.path).find(one => one.endsWith('2026'));
    await reader.mailboxSubscribe(path);
    told.status = await reader.status('INBOX', { messages: true, unseen: true, uidNext: true });
    const kept = await reader.append('INBOX', Buffer.from(where.letter), ['\\Seen', 'work']);
    const lock = await reader.getMailboxLock('INBOX');
    try {
        const appended = await reader.fetchOne(kept.uid, { flags: true, envelope: true, bodyStructure: true, size: true }, { uid: true });
        told.flags = [...appended.flags].filter(flag => flag !== '\\Recent').sort();
        told.subject = appended.envelope.subject;
        told.from = appended.envelope.from[0];
        told.type = appended.bodyStructure.type;
        told.size = appended.size;
        const { content } = await reader.download(kept.uid, '1', { uid: true });
        told.text = await text(content);
        await reader.messageFlagsAdd(kept.uid, ['\\Flagged'], { uid: true });
        await reader.messageFlagsRemove(kept.uid, ['work'], { uid: true });
        told.flagged = await reader.search({ flagged: true, from: 'builder', body: 'xyzzy' }, { uid: true });
        told.is_found = told.flagged.includes(kept.uid);
        const copied = await reader.messageCopy(kept.uid, path, { uid: true });
        told.copied = [...copied.uidMap.keys()].includes(kept.uid);
        const moved = await reader.messageMove(kept.uid, path, { uid: true });
        told.moved = [...moved.uidMap.keys()].includes(kept.uid);
        told.subjects = [];
        for await (const message of reader.fetch('1:*', { envelope: true })) {
            told.subjects.push(message.envelope.subject);
        }
        await reader.messageDelete('1:*');
        told.left = reader.mailbox.exists;
    } finally {
        lock.release();
    }
    told.there = (await reader.status(path, { messages: true })).messages;
    await reader.mailboxDelete(path);
    told.quota = await reader.getQuota('INBOX');
    return told;
}

// Says "waiting" once it idles, and ends with the news.
async function idle(reader) {
    await reader.mailboxOpen('INBOX');
    const news = new Promise(resolve => reader.once('exists', resolve));
    const idling = reader.idle();
    process.stdout.write('waiting\n');
    const { count } = await news;
    await reader.fetchOne('*', { flags: true }); // ends the IDLE
    await idling;
    return { count };
}

async function main() {
    const reader = client();
    try {
        await reader.connect();
    } catch (error) {
        reader.close();
        return { refused: error.serverResponseCode || error.code };
    }
    const told = await { work, idle }[where.task](reader);
    await reader.logout();
    return { ...told, is_encrypted: reader.secureConnection, capabilities: [...reader.capabilities.keys()] };
}

main().then(
    told => process.stdout.write(JSON.stringify(told)),
    error => {
        process.stderr.write(`${error.stack} ${error.response && JSON.stringify(error.response)}\n`);
        process.exitCode = 1;
    }
);
