package interop;

import jakarta.jms.DeliveryMode;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.QueueBrowser;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** In what order a queue gives its messages, to whom, and for how long. */
final class Deliveries {
  static void addTo(Suite suite) {
    suite.add("priority-order", Deliveries::priorityOrder);
    suite.add("listener", Deliveries::listener);
    suite.add("two-consumers-share", Deliveries::twoConsumersShare);
    suite.add("browse", Deliveries::browse);
    suite.add("ttl", Deliveries::ttl);
    suite.add("ttl-dead-letter", Deliveries::ttlDeadLetter);
    suite.add("stop-start", Deliveries::stopStart);
  }

  static void priorityOrder() throws Exception {
    // one message at a time, so that it is the broker's order and not the client's sorting that is seen
    try (Client client = new Client(Env.factory("jms.prefetchPolicy.all=0"), Session.AUTO_ACKNOWLEDGE)) {
      Queue queue = client.session.createQueue(Env.name("priority"));
      MessageProducer producer = client.session.createProducer(queue);
      List<String> want = new ArrayList<>();
      for (int round = 0; round < 3; round++) {
        for (int priority : new int[] {4, 0, 9, 5, 1, 8}) {
          producer.send(client.session.createTextMessage(priority + "/" + round), DeliveryMode.PERSISTENT, priority, 0);
        }
      }
      for (int priority : new int[] {9, 8, 5, 4, 1, 0}) {
        for (int round = 0; round < 3; round++) {
          want.add(priority + "/" + round);
        }
      }
      Check.equal("order", Client.texts(client.session.createConsumer(queue), want.size()), want);
    }
  }

  static void listener() throws Exception {
    try (Client client = Client.auto(); Client sender = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("listener"));
      LinkedBlockingQueue<Message> arrived = new LinkedBlockingQueue<>();
      client.session.createConsumer(queue).setMessageListener(arrived::add);
      sender.sendNumbers(queue, 0, 100);
      for (String want : Client.numbers(0, 100)) {
        Message got = arrived.poll(Client.SOON, TimeUnit.MILLISECONDS);
        Check.that("nothing came for " + want, got != null);
        Check.equal("text", Client.text(got), want);
      }
    }
  }

  static void twoConsumersShare() throws Exception {
    try (Client client = new Client(Env.factory("jms.prefetchPolicy.all=10"), Session.AUTO_ACKNOWLEDGE); Client sender = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("share"));
      MessageConsumer first = client.session.createConsumer(queue);
      MessageConsumer second = client.session.createConsumer(queue);
      sender.sendNumbers(queue, 0, 20); // both windows are filled, so that each has work
      List<String> one = Client.texts(first, 10);
      List<String> two = Client.texts(second, 10);
      Check.that("order of the first " + one, ascending(one));
      Check.that("order of the second " + two, ascending(two));
      one.addAll(two);
      one.sort((a, b) -> Integer.parseInt(a) - Integer.parseInt(b));
      Check.equal("all", one, Client.numbers(0, 20));
    }
  }

  static boolean ascending(List<String> numbers) {
    for (int i = 1; i < numbers.size(); i++) {
      if (Integer.parseInt(numbers.get(i)) <= Integer.parseInt(numbers.get(i - 1))) {
        return false;
      }
    }
    return true;
  }

  static void browse() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("browse"));
      for (int i = 0; i < 50; i++) {
        TextMessage message = client.session.createTextMessage(Integer.toString(i));
        message.setBooleanProperty("odd", i % 2 == 1);
        client.send(queue, message);
      }
      for (int again = 0; again < 2; again++) {
        Check.equal("browsed", browsed(client.session.createBrowser(queue)), Client.numbers(0, 50));
      }
      Check.equal("browsed with a selector", browsed(client.session.createBrowser(queue, "odd = TRUE")).size(), 25);
      Check.equal("browsed without match", browsed(client.session.createBrowser(queue, "odd IS NULL")).size(), 0);
      Check.equal("received after browsing", Client.texts(client.session.createConsumer(queue), 50), Client.numbers(0, 50));
      Check.equal("browsed when empty", browsed(client.session.createBrowser(queue)).size(), 0);
    }
  }

  private static List<String> browsed(QueueBrowser browser) throws Exception {
    List<String> texts = new ArrayList<>();
    for (Object message : Collections.list(browser.getEnumeration())) {
      texts.add(Client.text((Message) message));
    }
    browser.close();
    return texts;
  }

  static void ttl() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("ttl"));
      MessageProducer producer = client.session.createProducer(queue);
      producer.send(client.session.createTextMessage("short"), DeliveryMode.NON_PERSISTENT, 4, 200);
      producer.send(client.session.createTextMessage("short too"), DeliveryMode.PERSISTENT, 4, 200);
      producer.send(client.session.createTextMessage("long"), DeliveryMode.PERSISTENT, 4, 60_000);
      Thread.sleep(300); // the time to live is what is tested
      MessageConsumer consumer = client.session.createConsumer(queue);
      Check.equal("what is left", Client.text(Client.receive(consumer)), "long");
      Client.nothing(consumer);
    }
  }

  static void ttlDeadLetter() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("ttl-dead-letter"));
      TextMessage message = client.session.createTextMessage("expires with nobody there");
      message.setStringProperty("run", queue.getQueueName());
      MessageProducer producer = client.session.createProducer(queue);
      producer.send(message, DeliveryMode.PERSISTENT, 4, 100);
      MessageConsumer dead = client.session.createConsumer(client.session.createQueue("ActiveMQ.DLQ"), "run = '" + queue.getQueueName() + "'");
      Message got = Client.receive(dead);
      Check.equal("id", got.getJMSMessageID(), message.getJMSMessageID());
      Check.equal("expiration", got.getJMSExpiration(), 0L);
    }
  }

  static void stopStart() throws Exception {
    try (Client client = Client.auto(); Client sender = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("stop-start"));
      MessageConsumer consumer = client.session.createConsumer(queue);
      client.connection.stop();
      sender.sendNumbers(queue, 0, 3);
      Client.nothing(consumer);
      client.connection.start();
      Check.equal("texts", Client.texts(consumer, 3), Client.numbers(0, 3));
    }
  }
}
