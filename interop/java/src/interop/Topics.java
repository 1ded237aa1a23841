package interop;

import jakarta.jms.InvalidDestinationException;
import jakarta.jms.JMSException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import java.util.List;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Topics: who is there gets a message, who subscribed durably gets it later. */
final class Topics {
  static void addTo(Suite suite) {
    suite.add("topic", Topics::nonDurable);
    suite.add("topic-no-local", Topics::noLocal);
    suite.add("durable-backlog", Topics::durableBacklog);
    suite.add("durable-selector", Topics::durableSelector);
    suite.add("durable-in-use", Topics::durableInUse);
  }

  static void nonDurable() throws Exception {
    try (Client client = Client.auto(); Client other = Client.auto()) {
      Topic topic = client.session.createTopic(Env.name("topic"));
      other.sendNumbers(topic, 100, 103); // nobody there yet
      MessageConsumer first = client.session.createConsumer(topic);
      MessageConsumer second = client.session.createConsumer(topic, "JMSPriority = 4");
      MessageConsumer third = client.session.createConsumer(topic, "JMSPriority = 9");
      other.sendNumbers(topic, 0, 50);
      Check.equal("first", Client.texts(first, 50), Client.numbers(0, 50));
      Check.equal("second", Client.texts(second, 50), Client.numbers(0, 50));
      Client.nothing(third);
    }
  }

  static void noLocal() throws Exception {
    try (Client client = Client.auto(); Client other = Client.auto()) {
      Topic topic = client.session.createTopic(Env.name("no-local"));
      MessageConsumer consumer = client.session.createConsumer(topic, null, true);
      client.sendNumbers(topic, 0, 1);
      other.sendNumbers(topic, 1, 2);
      Check.equal("from others", Client.text(Client.receive(consumer)), "1");
      Client.nothing(consumer);
    }
  }

  /** A client with an id, as durable subscriptions need. */
  private static Client named(String clientId) throws JMSException {
    ActiveMQConnectionFactory factory = Env.factory("");
    factory.setClientID(Env.name(clientId));
    return new Client(factory, Session.AUTO_ACKNOWLEDGE);
  }

  static void durableBacklog() throws Exception {
    String name = Env.name("durable");
    try (Client subscriber = named("durable")) {
      subscriber.session.createDurableSubscriber(subscriber.session.createTopic(name), "sub");
    }
    try (Client sender = Client.auto()) {
      sender.sendNumbers(sender.session.createTopic(name), 0, 100);
    }
    try (Client subscriber = named("durable")) {
      MessageConsumer consumer = subscriber.session.createDurableSubscriber(subscriber.session.createTopic(name), "sub");
      Check.equal("first half", Client.texts(consumer, 50), Client.numbers(0, 50));
    }
    try (Client subscriber = named("durable")) {
      MessageConsumer consumer = subscriber.session.createDurableSubscriber(subscriber.session.createTopic(name), "sub");
      Check.equal("second half", Client.texts(consumer, 50), Client.numbers(50, 100));
      Client.nothing(consumer);
      consumer.close();
      subscriber.session.unsubscribe("sub");
      Check.thrown(InvalidDestinationException.class, () -> subscriber.session.unsubscribe("sub"));
    }
  }

  static void durableSelector() throws Exception {
    String name = Env.name("durable-selector");
    try (Client subscriber = named("durable-selector")) {
      Topic topic = subscriber.session.createTopic(name);
      subscriber.session.createDurableSubscriber(topic, "sub", "n > 5", false).close();
      for (int n = 0; n < 10; n++) {
        TextMessage message = subscriber.session.createTextMessage(Integer.toString(n));
        message.setIntProperty("n", n);
        subscriber.send(topic, message);
      }
      MessageConsumer consumer = subscriber.session.createDurableSubscriber(topic, "sub", "n > 5", false);
      Check.equal("picked", Client.texts(consumer, 4), List.of("6", "7", "8", "9"));
      Client.nothing(consumer);
      consumer.close();
      subscriber.session.unsubscribe("sub");
    }
  }

  static void durableInUse() throws Exception {
    try (Client subscriber = named("durable-in-use")) {
      Topic topic = subscriber.session.createTopic(Env.name("durable-in-use"));
      MessageConsumer consumer = subscriber.session.createDurableSubscriber(topic, "sub");
      Check.thrown(JMSException.class, () -> subscriber.session.createDurableSubscriber(topic, "sub"));
      Check.thrown(JMSException.class, () -> subscriber.session.unsubscribe("sub"));
      consumer.close();
      subscriber.session.unsubscribe("sub");
    }
  }
}
