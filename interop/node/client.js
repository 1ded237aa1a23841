'use strict';
// One STOMP connection of @stomp/stompjs over a plain or TLS socket, with the few things that every scenario does.

const fs = require('node:fs');
const net = require('node:net');
const tls = require('node:tls');
const { Client: Stomp } = require('@stomp/stompjs');
const { within, equal } = require('./suite.js');

const SOON = 10000;
const NOTHING = 250;
const [HOST, PORT] = process.env.INTEROP_STOMP.split(':');
const RUN = process.env.INTEROP_RUN;

const destination = (name, kind = 'queue') => `/${kind}/${RUN}.${name}`;

/** A socket with the face of a WebSocket, which is what the library wants. */
class SocketAsWebSocket {
  constructor() {
    this.url = `tcp://${HOST}:${PORT}/`;
    this.readyState = 0;
    const connected = () => {
      this.readyState = 1;
      this.onopen();
    };
    this.socket = process.env.INTEROP_TLS
      ? tls.connect({ host: HOST, port: PORT, ca: fs.readFileSync(process.env.INTEROP_CA) }, connected)
      : net.connect({ host: HOST, port: PORT }, connected);
    this.socket.on('data', (data) => this.onmessage({ data }));
    this.socket.on('error', (error) => this.onerror?.(error));
    this.socket.on('close', () => {
      this.readyState = 3;
      this.onclose?.({ code: 1000, reason: '', wasClean: true });
    });
  }

  send(data) {
    this.socket.write(typeof data === 'string' ? data : new Uint8Array(data));
  }

  close() {
    this.readyState = 2;
    this.socket.end();
  }

  terminate() {
    this.socket.destroy();
  }
}

class Client {
  /** Resolves when CONNECTED has come; rejects with the ERROR's message. */
  static connect({ headers = {}, login = process.env.INTEROP_USER, passcode = process.env.INTEROP_PASSWORD, heartBeat = 0 } = {}) {
    const client = new Client();
    const connectHeaders = { ...headers };
    if (login !== undefined) {
      Object.assign(connectHeaders, { login, passcode });
    }
    const ready = new Promise((resolve, reject) => {
      client.stomp = new Stomp({
        webSocketFactory: () => {
          client.socket = new SocketAsWebSocket();
          return client.socket;
        },
        connectHeaders,
        reconnectDelay: 0,
        heartbeatIncoming: heartBeat,
        heartbeatOutgoing: heartBeat,
        forceBinaryWSFrames: true,
        onConnect: (frame) => {
          client.connected = frame;
          resolve(client);
        },
        onStompError: (frame) => {
          client.onError(frame);
          reject(new Refused(frame));
        },
        onWebSocketClose: () => reject(new Error('closed')),
      });
      client.stomp.activate();
    });
    return within(SOON, ready, 'connect');
  }

  constructor() {
    this.onError = () => {};
    this.next = 1;
  }

  /** The next ERROR frame. */
  refused() {
    const frame = new Promise((resolve) => {
      this.onError = resolve;
    });
    return within(SOON, frame, 'an ERROR frame');
  }

  async close() {
    await this.stomp.deactivate();
  }

  /** Ends the connection without a DISCONNECT. */
  async drop() {
    this.stomp.reconnectDelay = 0;
    this.socket.terminate();
    await this.stomp.deactivate({ force: true });
  }

  /** Calls with a receipt header and waits for the receipt. */
  confirm(call) {
    const receipt = `r${this.next++}`;
    const got = new Promise((resolve) => this.stomp.watchForReceipt(receipt, resolve));
    call({ receipt });
    return within(SOON, got, `receipt ${receipt}`);
  }

  /** Sends a string as text, a Uint8Array as bytes, and waits for the receipt. */
  send(to, body, headers = {}) {
    return this.confirm((extra) => this.publish(to, body, { persistent: 'true', ...headers, ...extra }));
  }

  publish(to, body, headers) {
    const content = typeof body === 'string' ? { body, skipContentLengthHeader: true } : { binaryBody: body };
    this.stomp.publish({ destination: to, headers, ...content });
  }

  async sendNumbers(to, from, until, headers = {}) {
    for (let i = from; i < until; i++) {
      await this.send(to, String(i), headers);
    }
  }

  async subscribe(to, headers = {}) {
    const subscription = new Subscription();
    await this.confirm((extra) => {
      subscription.handle = this.stomp.subscribe(to, (message) => subscription.arrive(message), { ack: 'auto', ...headers, ...extra });
    });
    return subscription;
  }
}

class Refused extends Error {
  constructor(frame) {
    super(frame.headers.message);
    this.headers = frame.headers;
  }
}

/** The messages of one subscription, in the order in which they came. */
class Subscription {
  constructor() {
    this.arrived = [];
    this.waiting = [];
  }

  arrive(message) {
    const waiter = this.waiting.shift();
    if (waiter) {
      waiter(message);
    } else {
      this.arrived.push(message);
    }
  }

  receive(millis = SOON) {
    if (this.arrived.length > 0) {
      return Promise.resolve(this.arrived.shift());
    }
    let waiter;
    const message = new Promise((resolve) => {
      waiter = resolve;
      this.waiting.push(waiter);
    });
    return within(millis, message, 'a message').catch((error) => {
      this.waiting = this.waiting.filter((other) => other !== waiter);
      throw error;
    });
  }

  async texts(count) {
    const texts = [];
    for (let i = 0; i < count; i++) {
      texts.push((await this.receive()).body);
    }
    return texts;
  }

  async nothing(millis = NOTHING) {
    const message = await this.receive(millis).catch(() => undefined);
    equal('a message came that should not', message?.headers, undefined);
  }
}

/** What a queue holds, each redelivered message marked with "!"; it is taken. */
async function left(name) {
  const client = await Client.connect();
  const subscription = await client.subscribe(destination(name));
  const found = [];
  for (;;) {
    const message = await subscription.receive(NOTHING * 2).catch(() => undefined);
    if (!message) {
      await client.close();
      return found;
    }
    found.push(message.body + (message.headers.redelivered === 'true' ? '!' : ''));
  }
}

const numbers = (from, until) => Array.from({ length: until - from }, (_, i) => String(from + i));

module.exports = { Client, destination, left, numbers, RUN };
