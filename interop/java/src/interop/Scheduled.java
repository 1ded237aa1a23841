package interop;

import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import java.util.ArrayList;
import java.util.List;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.activemq.command.ActiveMQMessage;

/** Delivery at its time, the scheduler's management messages, the broker's own redeliveries, and where dead letters go. The broker is configured by scheduled_test.go. */
final class Scheduled {
  interface Ask {
    void of(Message message) throws Exception;
  }

  static void addTo(Suite suite) {
    times(suite, "delay", m -> m.setLongProperty("AMQ_SCHEDULED_DELAY", 300), 300);
    times(suite, "delay-int", m -> m.setIntProperty("AMQ_SCHEDULED_DELAY", 300), 300);
    times(suite, "delay-text", m -> m.setStringProperty("AMQ_SCHEDULED_DELAY", "300"), 300);
    times(suite, "delay-of-another-type", m -> m.setBooleanProperty("AMQ_SCHEDULED_DELAY", true), 0);
    times(suite, "repeat", m -> {
      m.setLongProperty("AMQ_SCHEDULED_DELAY", 200);
      m.setLongProperty("AMQ_SCHEDULED_PERIOD", 300);
      m.setIntProperty("AMQ_SCHEDULED_REPEAT", 2);
    }, 200, 500, 800);
    times(suite, "period-alone", m -> m.setLongProperty("AMQ_SCHEDULED_PERIOD", 300), 300);
    times(suite, "repeat-alone", m -> m.setIntProperty("AMQ_SCHEDULED_REPEAT", 2), 0);
    refused(suite, "delay-nonsense", m -> m.setStringProperty("AMQ_SCHEDULED_DELAY", "soon"));
    refused(suite, "delay-negative", m -> m.setLongProperty("AMQ_SCHEDULED_DELAY", -5));
    refused(suite, "repeat-too-often", m -> {
      m.setLongProperty("AMQ_SCHEDULED_PERIOD", 300);
      m.setIntProperty("AMQ_SCHEDULED_REPEAT", 1001);
    });
    for (String cron : new String[] {"nonsense", "* * * *", "61 * * * *", "* * 0 * *", "* * * 13 *", "* * * * 7", "5-1 * * * *"}) {
      refused(suite, "cron-" + cron.replace(' ', '_'), m -> m.setStringProperty("AMQ_SCHEDULED_CRON", cron));
    }
    suite.add("scheduled-at-commit", Scheduled::atCommit);
    suite.add("scheduler-management", Scheduled::management);
    suite.add("redelivery-by-the-broker", Scheduled::redelivery);
    deadLetter(suite, "shared", "ActiveMQ.DLQ");
    deadLetter(suite, "individual", "ActiveMQ.DLQ.Queue." + Env.name("individual"));
    deadLetter(suite, "discard", null);
  }

  /** A message that asks to be delivered is delivered so many ms after it was sent, and says which job it was. */
  static void times(Suite suite, String name, Ask ask, long... want) {
    suite.add("scheduled-" + name, () -> {
      try (Client client = Client.auto()) {
        Queue queue = client.session.createQueue(Env.name(name));
        MessageConsumer consumer = client.session.createConsumer(queue);
        Message message = client.session.createTextMessage(name);
        ask.of(message);
        long sent = System.currentTimeMillis();
        client.send(queue, message);
        for (long at : want) {
          Message got = consumer.receive(Client.SOON);
          long took = System.currentTimeMillis() - sent;
          Check.that(name + " did not come " + at + " ms after it was sent", got != null);
          Check.that(name + " came " + took + " ms after it was sent, want " + at, took >= at - 5 && took < at + 2000);
          Check.equal("scheduledJobId of " + name, got.propertyExists("scheduledJobId"), at > 0);
        }
        Check.equal("more", consumer.receive(Client.NOTHING), null);
      }
    });
  }

  /** Newer clients look at what they are asked to set themselves; what older ones send the broker refuses. */
  static void refused(Suite suite, String name, Ask ask) {
    suite.add("refused-" + name, () -> {
      try (Client client = Client.auto()) {
        Message message = client.session.createTextMessage(name);
        Check.thrown(Exception.class, () -> {
          ask.of(message);
          client.send(client.session.createQueue(Env.name("refused")), message);
        });
      }
    });
  }

  static void atCommit() throws Exception {
    try (Client client = Client.transacted(); Client other = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("at-commit"));
      MessageConsumer consumer = other.session.createConsumer(queue);
      for (boolean commit : new boolean[] {false, true}) {
        Message message = client.session.createTextMessage("x");
        message.setLongProperty("AMQ_SCHEDULED_DELAY", 200);
        client.send(queue, message);
        Check.equal("before the end", consumer.receive(Client.NOTHING), null);
        if (commit) {
          client.session.commit();
        } else {
          client.session.rollback();
        }
        Check.equal("after the end", consumer.receive(commit ? Client.SOON : 500) != null, commit);
      }
    }
  }

  static void management() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("managed"));
      Queue replies = client.session.createTemporaryQueue();
      MessageConsumer answers = client.session.createConsumer(replies);
      for (int i = 1; i <= 3; i++) {
        Message message = client.session.createTextMessage("" + i);
        message.setLongProperty("AMQ_SCHEDULED_DELAY", 60_000 * i);
        client.send(queue, message);
      }
      List<String> ids = browse(client, replies, answers, 3);
      manage(client, "REMOVE", m -> m.setStringProperty("scheduledJobId", ids.get(0)), null);
      browse(client, replies, answers, 2);
      long now = System.currentTimeMillis();
      manage(client, "REMOVEALL", m -> {
        m.setStringProperty("ACTION_START_TIME", "" + now);
        m.setStringProperty("ACTION_END_TIME", "" + (now + 130_000));
      }, null);
      browse(client, replies, answers, 1);
      manage(client, "REMOVEALL", m -> {}, null);
      browse(client, replies, answers, 0);
    }
  }

  static List<String> browse(Client client, Queue replies, MessageConsumer answers, int want) throws Exception {
    manage(client, "BROWSE", m -> {}, replies);
    List<String> ids = new ArrayList<>();
    for (int i = 0; i < want; i++) {
      Message answer = answers.receive(Client.SOON);
      Check.that("answer " + i + " of " + want + " did not come", answer != null);
      ids.add(answer.getStringProperty("scheduledJobId"));
      Check.that("an answer without its delay", answer.propertyExists("AMQ_SCHEDULED_DELAY"));
    }
    Check.equal("one more answer", answers.receive(Client.NOTHING), null);
    return ids;
  }

  static void manage(Client client, String action, Ask ask, Queue replies) throws Exception {
    Message message = client.session.createMessage();
    message.setStringProperty("AMQ_SCHEDULER_ACTION", action);
    message.setJMSReplyTo(replies);
    ask.of(message);
    client.send(client.session.createTopic("ActiveMQ.Scheduler.Management"), message);
  }

  static Client givingUpAtOnce() throws JMSException {
    ActiveMQConnectionFactory factory = Env.factory("");
    factory.getRedeliveryPolicy().setMaximumRedeliveries(0);
    return new Client(factory, Session.SESSION_TRANSACTED);
  }

  /** The policy of this queue: two redeliveries, after 200 ms and 400 ms. */
  static void redelivery() throws Exception {
    try (Client client = givingUpAtOnce()) {
      Queue queue = client.session.createQueue(Env.name("redelivered"));
      MessageConsumer consumer = client.session.createConsumer(queue);
      client.send(queue, client.session.createTextMessage("x"));
      client.session.commit();
      long before = System.currentTimeMillis();
      for (int count = 1; count <= 3; count++) {
        Message got = consumer.receive(Client.SOON);
        Check.that("delivery " + count + " did not come", got != null);
        long took = System.currentTimeMillis() - before;
        long least = count == 1 ? 0 : 200L * (count - 1);
        Check.that("delivery " + count + " came after " + took + " ms, want at least " + least, took >= least - 5);
        Check.equal("JMSXDeliveryCount", got.getIntProperty("JMSXDeliveryCount"), count);
        Check.equal("JMSRedelivered", got.getJMSRedelivered(), count > 1);
        before = System.currentTimeMillis();
        client.session.rollback();
      }
      Check.equal("one delivery too many", consumer.receive(1000), null);
    }
  }

  static void deadLetter(Suite suite, String strategy, String where) {
    suite.add("dead-letter-" + strategy, () -> {
      try (Client client = givingUpAtOnce(); Client other = Client.auto()) {
        Queue queue = client.session.createQueue(Env.name(strategy));
        MessageConsumer consumer = client.session.createConsumer(queue);
        client.send(queue, client.session.createTextMessage(strategy));
        client.session.commit();
        Check.that("it did not come", consumer.receive(Client.SOON) != null);
        client.session.rollback();
        Check.equal("it came again", consumer.receive(Client.NOTHING), null);
        Queue dead = other.session.createQueue(where == null ? "ActiveMQ.DLQ" : where);
        String origin = "dlqOrigin = 'queue://" + queue.getQueueName() + "'";
        Message letter = other.session.createConsumer(dead, origin).receive(where == null ? 500 : Client.SOON);
        Check.equal("a dead letter in " + dead, letter != null, where != null);
        if (letter != null) {
          Check.that("no cause", letter.getStringProperty("dlqDeliveryFailureCause").startsWith("java.lang.Throwable: "));
          Check.equal("original destination", ((ActiveMQMessage) letter).getOriginalDestination().getPhysicalName(), queue.getQueueName());
          Check.that("no time of death", letter.getLongProperty("dlqTime") >= letter.getLongProperty("dlqFirstArrival"));
        }
      }
    });
  }
}
