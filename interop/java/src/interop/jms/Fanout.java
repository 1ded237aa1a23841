package interop.jms;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.Topic;
import org.apache.activemq.command.ActiveMQMessage;

/** What ActiveMQ's services use beyond JMS: virtual topics, retroactive consumers, advisories. */
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

    t.in("ActiveMQ Retroactive consumers");
    t.add("without a policy get nothing from before", "2", p -> {
      p.send(p.topic(), "1");
      MessageConsumer consumer = p.consumer(p.topic("t?consumer.retroactive=true"));
      p.send(p.topic(), "2");
      return Peer.take(consumer, 1);
    });

    t.in("ActiveMQ Advisories");
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
}
