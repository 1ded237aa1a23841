package interop;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.RedeliveryPolicy;

/** Transacted sessions, redelivery, and where it ends. */
final class Transactions {
  static void addTo(Suite suite) {
    suite.add("commit", Transactions::commit);
    suite.add("commit-two-destinations", Transactions::commitTwoDestinations);
    suite.add("rollback-send", Transactions::rollbackSend);
    suite.add("rollback-redelivers", Transactions::rollbackRedelivers);
    suite.add("close-rolls-back", Transactions::closeRollsBack);
    suite.add("dead-letter-after-maximum", Transactions::deadLetterAfterMaximum);
    suite.add("recover-redelivers", Transactions::recoverRedelivers);
  }

  static void commit() throws Exception {
    try (Client client = Client.transacted(); Client other = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("commit"));
      MessageConsumer outside = other.session.createConsumer(queue);
      client.sendNumbers(queue, 0, 10);
      Client.nothing(outside);
      client.session.commit();
      Check.equal("after commit", Client.texts(outside, 10), Client.numbers(0, 10));
    }
  }

  static void commitTwoDestinations() throws Exception {
    try (Client client = Client.transacted(); Client other = Client.auto()) {
      Queue in = client.session.createQueue(Env.name("two.in"));
      Queue out = client.session.createQueue(Env.name("two.out"));
      other.sendNumbers(in, 0, 5);
      MessageConsumer consumer = client.session.createConsumer(in);
      for (String text : Client.texts(consumer, 5)) { // move five messages in one transaction
        client.send(out, client.session.createTextMessage(text));
      }
      client.session.commit();
      client.close();
      Check.equal("moved", Client.texts(other.session.createConsumer(out), 5), Client.numbers(0, 5));
      Client.nothing(other.session.createConsumer(in));
    }
  }

  static void rollbackSend() throws Exception {
    try (Client client = Client.transacted(); Client other = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("rollback-send"));
      client.sendNumbers(queue, 0, 5);
      client.session.rollback();
      client.sendNumbers(queue, 5, 7);
      client.session.commit();
      MessageConsumer consumer = other.session.createConsumer(queue);
      Check.equal("kept", Client.texts(consumer, 2), Client.numbers(5, 7));
      Client.nothing(consumer);
    }
  }

  static void rollbackRedelivers() throws Exception {
    try (Client client = new Client(impatient(6), Session.SESSION_TRANSACTED); Client other = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("rollback-redelivers"));
      other.sendNumbers(queue, 0, 3);
      MessageConsumer consumer = client.session.createConsumer(queue);
      for (int count = 1; count <= 3; count++) {
        for (int i = 0; i < 3; i++) {
          Message got = Client.receive(consumer);
          Check.equal("text", Client.text(got), Integer.toString(i));
          Check.equal("redelivered at delivery " + count, got.getJMSRedelivered(), count > 1);
          Check.equal("delivery count", got.getIntProperty("JMSXDeliveryCount"), count);
        }
        if (count < 3) {
          client.session.rollback();
        }
      }
      client.session.commit();
      Client.nothing(other.session.createConsumer(queue));
    }
  }

  /** A factory that redelivers soon, and at most so often. */
  static ActiveMQConnectionFactory impatient(int maximumRedeliveries) {
    ActiveMQConnectionFactory factory = Env.factory("");
    RedeliveryPolicy policy = factory.getRedeliveryPolicy();
    policy.setInitialRedeliveryDelay(10);
    policy.setRedeliveryDelay(10);
    policy.setMaximumRedeliveries(maximumRedeliveries);
    return factory;
  }

  static void closeRollsBack() throws Exception {
    try (Client other = Client.auto()) {
      Queue queue = other.session.createQueue(Env.name("close-rolls-back"));
      other.sendNumbers(queue, 0, 3);
      try (Client client = Client.transacted()) {
        client.sendNumbers(queue, 100, 103); // never committed
        Check.equal("first", Client.texts(client.session.createConsumer(queue), 2), Client.numbers(0, 2));
      }
      MessageConsumer consumer = other.session.createConsumer(queue);
      for (int i = 0; i < 3; i++) {
        Message got = Client.receive(consumer);
        Check.equal("text", Client.text(got), Integer.toString(i));
        Check.equal("redelivered of " + i, got.getJMSRedelivered(), i < 2);
      }
      Client.nothing(consumer);
    }
  }

  static void deadLetterAfterMaximum() throws Exception {
    try (Client client = new Client(impatient(2), Session.SESSION_TRANSACTED); Client other = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("dead-letter"));
      TextMessage poison = other.session.createTextMessage("poison");
      poison.setStringProperty("run", queue.getQueueName());
      other.send(queue, poison, other.session.createTextMessage("good"));
      MessageConsumer consumer = client.session.createConsumer(queue);
      for (int count = 1; count <= 3; count++) {
        Message got = Client.receive(consumer);
        Check.equal("text", Client.text(got), "poison");
        Check.equal("delivery count", got.getIntProperty("JMSXDeliveryCount"), count);
        client.session.rollback();
      }
      Check.equal("next", Client.text(Client.receive(consumer)), "good");
      client.session.commit();
      MessageConsumer dead = other.session.createConsumer(other.session.createQueue("ActiveMQ.DLQ"), "run = '" + queue.getQueueName() + "'");
      Message got = Client.receive(dead);
      Check.equal("id", got.getJMSMessageID(), poison.getJMSMessageID());
      Check.equal("text", Client.text(got), "poison");
      Check.that("no reason given", got.getStringProperty("dlqDeliveryFailureCause") != null);
    }
  }

  static void recoverRedelivers() throws Exception {
    try (Client client = new Client(impatient(6), Session.CLIENT_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("recover"));
      client.sendNumbers(queue, 0, 2);
      MessageConsumer consumer = client.session.createConsumer(queue);
      Check.equal("first", Client.texts(consumer, 2), Client.numbers(0, 2));
      client.session.recover();
      for (int i = 0; i < 2; i++) {
        Message got = Client.receive(consumer);
        Check.equal("text", Client.text(got), Integer.toString(i));
        Check.equal("redelivered", got.getJMSRedelivered(), true);
        got.acknowledge();
      }
      Client.nothing(consumer);
    }
  }
}
