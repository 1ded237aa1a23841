package interop;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import java.util.ArrayList;
import java.util.List;
import org.apache.activemq.ActiveMQSession;

/** What is settled by which acknowledgement, and what comes back without one. */
final class Acknowledgements {
  static void addTo(Suite suite) {
    suite.add("client-acknowledge", Acknowledgements::clientAcknowledge);
    suite.add("individual-acknowledge", Acknowledgements::individualAcknowledge);
    suite.add("dups-ok", Acknowledgements::dupsOk);
    suite.add("optimized-acknowledge", Acknowledgements::optimizedAcknowledge);
    suite.add("close-returns-unacknowledged", Acknowledgements::closeReturnsUnacknowledged);
    suite.add("consumer-close-in-transaction", Acknowledgements::consumerCloseInTransaction);
  }

  static void clientAcknowledge() throws Exception {
    String name = Env.name("client-acknowledge");
    try (Client client = Client.mode(Session.CLIENT_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(name);
      client.sendNumbers(queue, 0, 6);
      MessageConsumer consumer = client.session.createConsumer(queue);
      Client.texts(consumer, 2);
      Client.receive(consumer).acknowledge(); // this one and all before it
      Client.texts(consumer, 1); // never acknowledged
    }
    Check.equal("left", left(name), List.of("3!", "4", "5"));
  }

  static void individualAcknowledge() throws Exception {
    String name = Env.name("individual-acknowledge");
    try (Client client = Client.mode(ActiveMQSession.INDIVIDUAL_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(name);
      client.sendNumbers(queue, 0, 4);
      MessageConsumer consumer = client.session.createConsumer(queue);
      List<Message> messages = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        messages.add(Client.receive(consumer));
      }
      messages.get(1).acknowledge();
    }
    Check.equal("left", left(name), List.of("0!", "2!", "3"));
  }

  static void dupsOk() throws Exception {
    String name = Env.name("dups-ok");
    try (Client client = Client.mode(Session.DUPS_OK_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(name);
      client.sendNumbers(queue, 0, 500);
      Check.equal("received", Client.texts(client.session.createConsumer(queue), 500), Client.numbers(0, 500));
    }
    Check.equal("left", left(name), List.of());
  }

  static void optimizedAcknowledge() throws Exception {
    String name = Env.name("optimized-acknowledge");
    try (Client client = new Client(Env.factory("jms.optimizeAcknowledge=true"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(name);
      client.sendNumbers(queue, 0, 2000); // beyond one prefetch window
      Check.equal("received", Client.texts(client.session.createConsumer(queue), 2000), Client.numbers(0, 2000));
    }
    Check.equal("left", left(name), List.of());
  }

  static void closeReturnsUnacknowledged() throws Exception {
    String name = Env.name("close-returns");
    try (Client client = Client.mode(Session.CLIENT_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(name);
      client.sendNumbers(queue, 0, 5);
      Client.texts(client.session.createConsumer(queue), 3);
    }
    Check.equal("left", left(name), List.of("0!", "1!", "2!", "3", "4"));
  }

  static void consumerCloseInTransaction() throws Exception {
    try (Client client = Client.transacted()) {
      Queue queue = client.session.createQueue(Env.name("consumer-close"));
      client.sendNumbers(queue, 0, 4);
      client.session.commit();
      MessageConsumer first = client.session.createConsumer(queue);
      Client.texts(first, 2);
      first.close(); // what it has received stays part of the transaction; the client really closes it after that
      client.session.commit();
      Check.equal("next consumer", Client.texts(client.session.createConsumer(queue), 2), Client.numbers(2, 4));
      client.session.commit();
    }
    Check.equal("left", left(Env.name("consumer-close")), List.of());
  }

  /** What a queue holds, each redelivered message marked with "!"; it is taken. */
  static List<String> left(String name) throws Exception {
    try (Client client = Client.auto()) {
      MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(name));
      List<String> left = new ArrayList<>();
      Message message = consumer.receive(Client.NOTHING * 2);
      while (message != null) {
        left.add(Client.text(message) + (message.getJMSRedelivered() ? "!" : ""));
        message = consumer.receive(Client.NOTHING);
      }
      return left;
    }
  }
}
