'use strict';
// main.js SUITE: full, short, refused or ring, against the broker that the environment names.

const { setTimeout: sleep } = require('node:timers/promises');
const { run, equal, that } = require('./suite.js');
const { Client, destination, left, numbers, RUN } = require('./client.js');

const UNICODE = 'gr\u00fc\u00dfe \u2603 \ud83c\udca1 \u65e5\u672c\u8a9e';
const PATTERN = Uint8Array.from({ length: 256 }, (_, i) => i);

/** Gives the scenario connections that are closed after it. */
const withClients = (count, scenario, options) => async () => {
  const clients = [];
  try {
    for (let i = 0; i < count; i++) {
      clients.push(await Client.connect(options));
    }
    await scenario(...clients);
  } finally {
    await Promise.all(clients.map((client) => client.close()));
  }
};

const text = withClients(1, async (client) => {
  const to = destination('js.text');
  const subscription = await client.subscribe(to);
  for (const body of ['hello', '', UNICODE, 'x'.repeat(100000)]) {
    await client.send(to, body);
    const message = await subscription.receive();
    equal('body', message.body, body);
    equal('content-length', message.headers['content-length'], undefined);
  }
});

const bytes = withClients(1, async (client) => {
  const to = destination('js.bytes');
  const subscription = await client.subscribe(to);
  for (const body of [Uint8Array.of(0), PATTERN]) {
    await client.send(to, body);
    const message = await subscription.receive();
    equal('body', Buffer.from(message.binaryBody).toString('hex'), Buffer.from(body).toString('hex'));
    equal('content-length', message.headers['content-length'], String(body.length));
  }
});

const properties = withClients(1, async (client) => {
  const to = destination('js.properties');
  const subscription = await client.subscribe(to);
  const sent = { plain: 'value', escaped: 'a:b\\d\ne\rf', unicode: 'gr\u00fc\u00dfe \u2603', 'correlation-id': 'c:1', type: 't', priority: '7' };
  await client.send(to, 'body', sent);
  const got = (await subscription.receive()).headers;
  for (const [name, value] of Object.entries({ ...sent, persistent: 'true', destination: to })) {
    equal(name, got[name], value);
  }
});

const priorityOrder = withClients(1, async (client) => {
  const to = destination('js.priority');
  for (const priority of ['4', '0', '9', '5']) {
    await client.send(to, priority, { priority });
  }
  equal('order', await (await client.subscribe(to)).texts(4), ['9', '5', '4', '0']);
});

const commit = withClients(2, async (client, other) => {
  const to = destination('js.commit');
  const outside = await other.subscribe(to);
  const transaction = client.stomp.begin();
  await client.sendNumbers(to, 0, 5, { transaction: transaction.id });
  await outside.nothing();
  transaction.commit();
  equal('after commit', await outside.texts(5), numbers(0, 5));
});

const abort = withClients(1, async (client) => {
  const to = destination('js.abort');
  const transaction = client.stomp.begin();
  await client.sendNumbers(to, 0, 5, { transaction: transaction.id });
  transaction.abort();
  await client.send(to, 'kept');
  const subscription = await client.subscribe(to);
  equal('kept', await subscription.texts(1), ['kept']);
  await subscription.nothing();
});

async function clientAcknowledge() {
  await withClients(1, async (client) => {
    const to = destination('js.client-acknowledge');
    await client.sendNumbers(to, 0, 5);
    const subscription = await client.subscribe(to, { ack: 'client' });
    const messages = [];
    for (let i = 0; i < 5; i++) {
      messages.push(await subscription.receive());
    }
    await client.confirm((extra) => messages[2].ack(extra)); // this one and all before it
  })();
  equal('left', await left('js.client-acknowledge'), ['3!', '4!']);
}

async function individualAcknowledge() {
  const client = await Client.connect();
  const to = destination('js.individual');
  await client.sendNumbers(to, 0, 3);
  const subscription = await client.subscribe(to, { ack: 'client-individual' });
  const messages = [await subscription.receive(), await subscription.receive(), await subscription.receive()];
  await client.confirm((extra) => messages[1].ack(extra));
  await client.drop();
  equal('left', await left('js.individual'), ['0!', '2!']);
}

const nackDeadLetters = withClients(1, async (client) => {
  const to = destination('js.nack');
  await client.send(to, 'poison', { run: to });
  const subscription = await client.subscribe(to, { ack: 'client-individual' });
  (await subscription.receive()).nack();
  const dead = await client.subscribe('/queue/ActiveMQ.DLQ', { selector: `run = '${to}'` });
  equal('original destination', (await dead.receive()).headers['original-destination'], to);
});

const prefetchOne = withClients(1, async (client) => {
  const to = destination('js.prefetch-1');
  await client.sendNumbers(to, 0, 3);
  const subscription = await client.subscribe(to, { ack: 'client-individual', 'activemq.prefetchSize': '1' });
  for (const want of numbers(0, 3)) {
    const message = await subscription.receive();
    equal('body', message.body, want);
    await subscription.nothing();
    message.ack();
  }
});

const selectors = withClients(1, async (client) => {
  const to = destination('js.selectors');
  for (const n of numbers(0, 4)) {
    await client.send(to, n, { color: n % 2 ? 'blue' : 'red' });
  }
  const red = await client.subscribe(to, { selector: "color = 'red'" });
  equal('red', await red.texts(2), ['0', '2']);
  await red.nothing();
  equal('rest', await (await client.subscribe(to)).texts(2), ['1', '3']);
});

const badSelector = withClients(1, async (client) => {
  const to = destination('js.bad-selector');
  const refused = client.refused();
  client.stomp.subscribe(to, () => {}, { selector: 'n ==== ', receipt: 'bad' });
  equal('receipt-id', (await refused).headers['receipt-id'], 'bad');
});

const browse = withClients(1, async (client) => {
  const to = destination('js.browse');
  await client.sendNumbers(to, 0, 5);
  const browser = await client.subscribe(to, { browser: 'true' });
  equal('browsed', await browser.texts(5), numbers(0, 5));
  equal('end', (await browser.receive()).headers.browser, 'end');
  equal('received after browsing', await (await client.subscribe(to)).texts(5), numbers(0, 5));
});

const requestReply = withClients(2, async (asker, server) => {
  const to = destination('js.requests');
  const replies = await asker.subscribe('/temp-queue/replies');
  const requests = await server.subscribe(to);
  for (let i = 0; i < 5; i++) {
    await asker.send(to, `ask ${i}`, { 'reply-to': '/temp-queue/replies' });
    const request = await requests.receive();
    await server.send(request.headers['reply-to'], `answer to ${request.body}`);
    equal('answer', (await replies.receive()).body, `answer to ask ${i}`);
  }
});

const topic = withClients(2, async (client, other) => {
  const to = destination('js.topic', 'topic');
  await other.send(to, 'nobody is there');
  const first = await client.subscribe(to);
  const second = await client.subscribe(to);
  await other.sendNumbers(to, 0, 10);
  equal('first', await first.texts(10), numbers(0, 10));
  equal('second', await second.texts(10), numbers(0, 10));
});

async function durableTopic() {
  const to = destination('js.durable', 'topic');
  const sub = { 'activemq.subscriptionName': 'sub' };
  const who = { headers: { 'client-id': `${RUN}.js.durable` } };
  await withClients(1, (client) => client.subscribe(to, sub), who)();
  await withClients(1, (client) => client.sendNumbers(to, 0, 10))();
  await withClients(1, async (client) => {
    const subscription = await client.subscribe(to, sub);
    equal('backlog', await subscription.texts(10), numbers(0, 10));
    await client.confirm((extra) => client.stomp.unsubscribe(subscription.handle.id, extra));
    await client.confirm((extra) => client.stomp.unsubscribe(subscription.handle.id, { ...sub, ...extra }));
  }, who)();
}

const expires = withClients(1, async (client) => {
  const to = destination('js.expires');
  await client.send(to, 'short', { expires: String(Date.now() + 150) });
  await client.send(to, 'long', { expires: String(Date.now() + 60000) });
  await sleep(300); // the time to live is what is tested
  const subscription = await client.subscribe(to);
  equal('what is left', await subscription.texts(1), ['long']);
  await subscription.nothing();
});

const large = withClients(1, async (client) => {
  const to = destination('js.large');
  const body = Buffer.alloc(5 << 20, PATTERN);
  const subscription = await client.subscribe(to);
  await client.send(to, body);
  that('body differs', body.equals((await subscription.receive()).binaryBody));
});

const tenThousand = withClients(2, async (client, sender) => {
  const to = destination('js.many');
  const subscription = await client.subscribe(to);
  for (const n of numbers(0, 10000)) {
    sender.publish(to, n, {});
  }
  equal('texts', await subscription.texts(10000), numbers(0, 10000));
});

const clientIdIsExclusive = withClients(1, async (first) => {
  await refused({ headers: { 'client-id': `${RUN}.js.one-only` } });
  await first.send(destination('js.one-only'), 'undisturbed');
}, { headers: { 'client-id': `${RUN}.js.one-only` } });

async function refused(options) {
  const client = await Client.connect(options).catch(() => undefined);
  await client?.close();
  that('was let in', client === undefined);
}

async function heartBeats() {
  const client = await Client.connect({ heartBeat: 400 });
  equal('answer', client.connected.headers['heart-beat'], '400,400');
  await sleep(2000); // five periods with nothing else on the wire
  that('disconnected', client.stomp.connected);
  await client.send(destination('js.heart-beats'), 'alive');
  await client.close();
}

async function wrongCredentials() {
  const { INTEROP_USER: login, INTEROP_PASSWORD: passcode } = process.env;
  for (const wrong of [{ login, passcode: `not ${passcode}` }, { login: 'nobody', passcode }, { login: '', passcode: '' }]) {
    await refused(wrong);
  }
  await text(); // the right ones still get in
}

/** Checks what the library before has sent, and sends the same on. */
const ring = withClients(1, async (client) => {
  const subscription = await client.subscribe(`/queue/${process.env.INTEROP_FROM}`, { ack: 'client' });
  const first = await subscription.receive();
  const second = await subscription.receive();
  equal('text', first.body, UNICODE);
  equal('content-length of the text', first.headers['content-length'], undefined);
  equal('bytes', Buffer.from(second.binaryBody).toString('hex'), Buffer.from(PATTERN).toString('hex'));
  const own = { color: 'bl\u00fc \\ a:b', count: '42', flag: 'true', price: '2.5', 'correlation-id': 'correlation-1', type: 'ring', persistent: 'true' };
  for (const message of [first, second]) {
    for (const [name, value] of Object.entries(own)) {
      equal(name, message.headers[name], value);
    }
  }
  for (const body of [UNICODE, PATTERN]) {
    await client.send(`/queue/${process.env.INTEROP_TO}`, body, own);
  }
  await client.confirm((extra) => second.ack(extra));
});

const short = { text, bytes, properties, commit, 'client-acknowledge': clientAcknowledge, 'request-reply': requestReply, large };
const suites = {
  short,
  full: {
    ...short,
    'priority-order': priorityOrder,
    abort,
    'individual-acknowledge': individualAcknowledge,
    'nack-dead-letters': nackDeadLetters,
    'prefetch-1': prefetchOne,
    selectors,
    'bad-selector': badSelector,
    browse,
    topic,
    'durable-topic': durableTopic,
    expires,
    'ten-thousand': tenThousand,
    'client-id-is-exclusive': clientIdIsExclusive,
    'heart-beats': heartBeats,
  },
  refused: { 'wrong-credentials': wrongCredentials },
  ring: { ring },
};

run(suites[process.argv[2]]);
