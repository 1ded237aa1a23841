package interop.jms;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.Topic;
import java.util.TreeSet;
import org.apache.activemq.command.ActiveMQMessage;

/** What ActiveMQ's services use beyond JMS: virtual topics, message groups, retroactive consumers, scheduled delivery. */
final class Fanout {
  static void addTo(Table t) {
    t.in("ActiveMQ Virtual topics");
    t.add("each group of consumers gets each message once", "1 2|1 2", p -> {
      MessageConsumer a = p.consumer(group(p, "A"));
      MessageConsumer b = p.consumer(group(p, "B"));
      p.send(virtual(p), "1", "2");
      return Peer.take(a, 2) + "|" + Peer.take(b, 2);
    });
    t.add("the queue keeps what comes while nobody is there", "1 2", p -> {
      p.consumer(group(p, "A")).close();
      p.send(virtual(p), "1", "2");
      return Peer.take(p.consumer(group(p, "A")), 2);
    });
    t.add("plain subscribers of the topic get it too", "1|1", p -> {
      MessageConsumer plain = p.consumer(virtual(p));
      MessageConsumer a = p.consumer(group(p, "A"));
      p.send(virtual(p), "1");
      return Peer.take(plain, 1) + "|" + Peer.take(a, 1);
    });
    t.add("the copy's destination is the queue, its origin the topic", "true true", p -> {
      MessageConsumer a = p.consumer(group(p, "A"));
      p.send(virtual(p), "1");
      Message m = Peer.receive(a);
      return m.getJMSDestination().equals(group(p, "A")) + " " + ((ActiveMQMessage) m).getOriginalDestination().equals(virtual(p));
    });
    t.add("in a transaction", "2 1", p -> {
      MessageConsumer a = p.consumer(group(p, "A"));
      Session session = p.transacted();
      Peer.send(session, virtual(p), "1");
      p.send(virtual(p), "2");
      String first = Peer.take(a, 1);
      session.commit();
      return first + " " + Peer.take(a, 1);
    });

    t.in("ActiveMQ Message groups");
    t.add("a group stays with one consumer", 1, p -> {
      Session one = p.session(Session.AUTO_ACKNOWLEDGE);
      MessageConsumer a = one.createConsumer(p.queue());
      MessageConsumer b = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      for (int i = 0; i < 4; i++) {
        p.send(p.queue(), grouped(p, "g", 0, "" + i));
      }
      Message first = null;
      while (first == null) { // one of them has the group
        first = a.receive(5);
        if (first == null && (first = b.receive(5)) != null) {
          MessageConsumer swap = a;
          a = b;
          b = swap;
        }
      }
      return Peer.take(a, 3).equals("1 2 3") ? 1 : 2;
    });
    t.add("its heir gets the rest", "2 3", p -> {
      MessageConsumer a = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      p.send(p.queue(), grouped(p, "g", 0, "1"));
      Peer.take(a, 1);
      MessageConsumer b = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      a.close();
      p.send(p.queue(), grouped(p, "g", 0, "2"));
      p.send(p.queue(), grouped(p, "g", 0, "3"));
      return Peer.take(b, 2);
    });
    t.add("the first of a group is marked", "true false", p -> {
      MessageConsumer a = p.consumer(p.queue());
      p.send(p.queue(), grouped(p, "g", 0, "1"));
      p.send(p.queue(), grouped(p, "g", 0, "2"));
      return Peer.receive(a).getObjectProperty("JMSXGroupFirstForConsumer") + " " + Peer.receive(a).getObjectProperty("JMSXGroupFirstForConsumer");
    });
    t.add("messages without a group go to all", "[1, 2]", p -> {
      MessageConsumer a = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      MessageConsumer b = p.session(Session.AUTO_ACKNOWLEDGE).createConsumer(p.queue());
      p.send(p.queue(), "1", "2");
      TreeSet<String> got = new TreeSet<>();
      got.add(Peer.take(a, 1));
      got.add(Peer.take(b, 1));
      return got;
    });

    t.in("ActiveMQ Retroactive consumers");
    t.add("without a policy get nothing from before", "2", p -> {
      p.send(p.topic(), "1");
      MessageConsumer consumer = p.consumer(p.topic("t?consumer.retroactive=true"));
      p.send(p.topic(), "2");
      return Peer.take(consumer, 1);
    });

    t.in("ActiveMQ Scheduled delivery");
    t.add("AMQ_SCHEDULED_DELAY", "now later", p -> {
      Message later = p.text("later");
      later.setLongProperty("AMQ_SCHEDULED_DELAY", 300);
      p.send(p.queue(), later);
      p.send(p.queue(), "now");
      return Peer.take(p.consumer(p.queue()), 2);
    });
    t.add("AMQ_SCHEDULED_REPEAT", "x x x", p -> {
      Message m = p.text("x");
      m.setLongProperty("AMQ_SCHEDULED_DELAY", 1);
      m.setLongProperty("AMQ_SCHEDULED_PERIOD", 10);
      m.setIntProperty("AMQ_SCHEDULED_REPEAT", 2);
      p.send(p.queue(), m);
      return Peer.take(p.consumer(p.queue()), 3);
    });
    t.add("a delivered copy knows its job", true, p -> {
      Message m = p.text("x");
      m.setLongProperty("AMQ_SCHEDULED_DELAY", 1);
      p.send(p.queue(), m);
      return p.receive(p.queue()).propertyExists("scheduledJobId");
    });

    t.in("ActiveMQ Advisories");
    t.add("of consumers", 1, p -> {
      MessageConsumer advisories = p.consumer(p.auto().createTopic("ActiveMQ.Advisory.Consumer.Queue." + p.name + ".q"));
      p.consumer(p.queue());
      return Peer.receive(advisories).getIntProperty("consumerCount");
    });
    t.add("of producers", 1, p -> {
      MessageConsumer advisories = p.consumer(p.auto().createTopic("ActiveMQ.Advisory.Producer.Queue." + p.name + ".q"));
      MessageProducer producer = p.auto().createProducer(p.queue());
      producer.getPriority();
      return Peer.receive(advisories).getIntProperty("producerCount");
    });
    t.add("of a new queue", true, p -> {
      MessageConsumer advisories = p.consumer(p.auto().createTopic("ActiveMQ.Advisory.Queue"));
      p.send(p.queue(), "x");
      ActiveMQMessage m = (ActiveMQMessage) Peer.receive(advisories);
      while (!((org.apache.activemq.command.DestinationInfo) m.getDataStructure()).getDestination().equals(p.queue())) {
        m = (ActiveMQMessage) Peer.receive(advisories);
      }
      return m.getJMSType().equals("Advisory");
    });
    t.add("of a temporary queue", true, p -> {
      MessageConsumer advisories = Peer.auto(p.connect("")).createConsumer(p.auto().createTopic("ActiveMQ.Advisory.TempQueue"));
      Queue temporary = p.auto().createTemporaryQueue();
      ActiveMQMessage m = (ActiveMQMessage) Peer.receive(advisories);
      while (!((org.apache.activemq.command.DestinationInfo) m.getDataStructure()).getDestination().equals(temporary)) {
        m = (ActiveMQMessage) Peer.receive(advisories);
      }
      return true;
    });
  }

  private static Topic virtual(Peer p) throws Exception {
    return p.auto().createTopic("VirtualTopic." + p.name);
  }

  private static Queue group(Peer p, String name) throws Exception {
    return p.auto().createQueue("Consumer." + name + ".VirtualTopic." + p.name);
  }

  private static Message grouped(Peer p, String group, int sequence, String text) throws Exception {
    Message m = p.text(text);
    m.setStringProperty("JMSXGroupID", group);
    if (sequence != 0) {
      m.setIntProperty("JMSXGroupSeq", sequence);
    }
    return m;
  }
}
