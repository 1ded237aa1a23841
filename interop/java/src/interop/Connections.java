package interop;

import jakarta.jms.InvalidClientIDException;
import jakarta.jms.JMSSecurityException;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import org.apache.activemq.ActiveMQConnectionFactory;

/** How a client gets in, and who is kept out. */
final class Connections {
  static void addTo(Suite suite) {
    suite.add("failover-url", Connections::failoverUrl);
    suite.add("failover-first-is-dead", Connections::failoverFirstIsDead);
    suite.add("client-id-is-exclusive", Connections::clientIdIsExclusive);
    suite.add("wire-formats", Connections::wireFormats);
    suite.add("many-connections", Connections::many);
  }

  static void failoverUrl() throws Exception {
    roundTrip(Env.at("failover:(" + Env.URL + ")?timeout=5000"), "failover");
  }

  static void failoverFirstIsDead() throws Exception {
    roundTrip(Env.at("failover:(tcp://127.0.0.1:1," + Env.URL + ")?randomize=false&timeout=5000"), "failover-second");
  }

  private static void roundTrip(ActiveMQConnectionFactory factory, String name) throws Exception {
    try (Client client = new Client(factory, Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name(name));
      client.sendNumbers(queue, 0, 3);
      Check.equal("texts", Client.texts(client.session.createConsumer(queue), 3), Client.numbers(0, 3));
    }
  }

  static void clientIdIsExclusive() throws Exception {
    ActiveMQConnectionFactory factory = Env.factory("");
    factory.setClientID(Env.name("one-only"));
    try (Client first = new Client(factory, Session.AUTO_ACKNOWLEDGE)) {
      Check.thrown(InvalidClientIDException.class, () -> new Client(factory, Session.AUTO_ACKNOWLEDGE).close());
      Queue queue = first.session.createQueue(Env.name("one-only"));
      first.sendNumbers(queue, 0, 1); // the first is not disturbed
      Check.equal("text", Client.text(first.receiveOne(queue)), "0");
    }
    new Client(factory, Session.AUTO_ACKNOWLEDGE).close(); // free again
  }

  static void wrongCredentials() throws Exception {
    String[][] wrong = {{Env.USER, "not " + Env.PASSWORD}, {"nobody", Env.PASSWORD}, {null, null}, {Env.USER, ""}};
    for (String[] pair : wrong) {
      ActiveMQConnectionFactory factory = Env.factory("");
      factory.setUserName(pair[0]);
      factory.setPassword(pair[1]);
      Check.thrown(JMSSecurityException.class, () -> new Client(factory, Session.AUTO_ACKNOWLEDGE).close());
    }
    roundTrip(Env.factory(""), "right-credentials"); // the right ones still get in
  }

  static void wireFormats() throws Exception {
    String[] formats = {
      "wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false",
      "wireFormat.tightEncodingEnabled=true&wireFormat.cacheEnabled=false",
      "wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=true",
      "wireFormat.stackTraceEnabled=false",
      "wireFormat.version=11",
      "wireFormat.version=10&wireFormat.tightEncodingEnabled=false&wireFormat.cacheEnabled=false",
      "wireFormat.version=9",
      "wireFormat.maxInactivityDuration=0",
    };
    for (int i = 0; i < formats.length; i++) {
      roundTrip(Env.factory(formats[i]), "wire-format." + i);
    }
  }

  static void many() throws Exception {
    Client[] clients = new Client[50];
    try {
      for (int i = 0; i < clients.length; i++) {
        clients[i] = Client.auto();
      }
      Queue queue = clients[0].session.createQueue(Env.name("many-connections"));
      for (int i = 0; i < clients.length; i++) {
        clients[i].sendNumbers(queue, i, i + 1);
      }
      Check.equal("texts", Client.texts(clients[0].session.createConsumer(queue), clients.length), Client.numbers(0, clients.length));
    } finally {
      for (Client client : clients) {
        if (client != null) {
          client.close();
        }
      }
    }
  }
}
