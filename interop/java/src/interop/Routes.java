package interop;

import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;

/**
 * Where messages go by configuration, and by what their destination's name says: a row is what is listened to, what is sent, and what comes, as
 * body@destination, and the original destination behind a {@code <}. The test configures the broker; see routes_test.go.
 */
final class Routes {
  static void addTo(Suite suite) {
    String both = "Consumer.A.VirtualTopic.T Consumer.B.VirtualTopic.T topic://VirtualTopic.T Consumer.A.VirtualTopic.Other Consumer.A.X.VirtualTopic.T";
    String copies = "0@Consumer.A.VirtualTopic.T<VirtualTopic.T 0@Consumer.B.VirtualTopic.T<VirtualTopic.T 0@VirtualTopic.T";
    row(suite, "virtual-topic", both, "topic://VirtualTopic.T", 1, copies);
    row(suite, "virtual-topic-pattern", "Consumer.P.VirtualTopic.P.>", "topic://VirtualTopic.P.Q", 1, "0@Consumer.P.VirtualTopic.P.><VirtualTopic.P.Q");
    row(suite, "virtual-topic-selectors", "C.1.VS.T?consumer.selector=n%3D1 C.2.VS.T?consumer.selector=n%3D2 C.3.VS.T", "topic://VS.T", 3,
        "0@C.3.VS.T<VS.T 1@C.1.VS.T<VS.T 1@C.3.VS.T<VS.T 2@C.2.VS.T<VS.T 2@C.3.VS.T<VS.T");
    row(suite, "virtual-topic-hidden", "K.1.VK.T", "topic://VK.T", 1, "0@K.1.VK.T");
    row(suite, "virtual-topic-postfix", "VP.T.copy", "topic://VP.T", 1, "0@VP.T.copy<VP.T");
    row(suite, "composite", "CQ CQ.a topic://CQ.t", "CQ", 1, "0@CQ.a<CQ 0@CQ.t<CQ");
    row(suite, "composite-here-too", "CH CH.a", "CH", 1, "0@CH 0@CH.a<CH");
    row(suite, "composite-selectors", "CF CF.a topic://CF.t", "CF", 3, "0@CF 1@CF.a<CF 2@CF.t<CF");
    row(suite, "composite-dropped", "CG CG.a", "CG", 2, "1@CG.a<CG");
    row(suite, "composite-pattern", "CW.x CWa", "CW.x", 1, "0@CWa<CW.x");
    row(suite, "composite-topic", "topic://CT CT.a", "topic://CT", 1, "0@CT 0@CT.a<CT");
    row(suite, "composite-to-virtual-topic", "Consumer.A.VirtualTopic.CV", "CV", 1, "0@Consumer.A.VirtualTopic.CV<VirtualTopic.CV");
    row(suite, "mirror", "mirrored.a topic://M.mirrored.a", "mirrored.a", 1, "0@M.mirrored.a 0@mirrored.a");
    row(suite, "names", "n.a n.b topic://n.t", "n.a,n.b,topic://n.t,n.a", 1, "0@n.a<n.a,n.b,topic://n.t,n.a 0@n.b<n.a,n.b,topic://n.t,n.a 0@n.t<n.a,n.b,topic://n.t,n.a");
    row(suite, "names-and-routes", "n.a Consumer.A.VirtualTopic.N CQ.a", "n.a,topic://VirtualTopic.N,CQ", 1,
        "0@CQ.a<CQ 0@Consumer.A.VirtualTopic.N<VirtualTopic.N 0@n.a<n.a,topic://VirtualTopic.N,CQ");
    row(suite, "listen-to-names", "l.a,l.b", "l.b", 1, "0@l.b");
    row(suite, "listen-to-star", "ls.* ls", "ls.1", 1, "0@ls.1");
    row(suite, "listen-to-star-in-the-middle", "topic://lm.*.x topic://lm.*.y", "topic://lm.1.x", 1, "0@lm.1.x");
    row(suite, "listen-to-rest", "lr.>", "lr.1.2", 1, "0@lr.1.2");
    row(suite, "listen-to-rest-of-nothing", "topic://ln.>", "topic://ln", 1, "0@ln");
    row(suite, "listen-to-patterns", "lp.*,lq.>", "lq.1.2", 1, "0@lq.1.2");
    row(suite, "star-within-a-segment", "lw*x", "lw*x", 1, "0@lw*x");
    row(suite, "option-selector", "os?consumer.selector=n%3D1 os?consumer.selector=n%3D2", "os", 3, "1@os 2@os");
    row(suite, "option-exclusive", "oe?consumer.exclusive=true oe", "oe", 2, "0@oe 1@oe");
    suite.add("dead-letter-of-a-copy", Routes::deadLetter);
    if (System.getenv("INTEROP_GODWIT") != null) {
      suite.add("send-to-pattern", Routes::sendToPattern);
      suite.add("destination-limit", Routes::tooMany);
      suite.add("last-values", () -> keeps("K.last", "6 7 8"));
      suite.add("ring", () -> keeps("K.ring", "7 8"));
    }
  }

  private static void row(Suite suite, String name, String listen, String to, int count, String want) {
    for (boolean transacted : new boolean[] {false, true}) {
      suite.add(name + (transacted ? "-in-a-transaction" : ""), () -> {
        try (Client client = Client.auto()) {
          Map<String, MessageConsumer> consumers = new LinkedHashMap<>();
          for (String place : listen.split(" ")) {
            consumers.put(place, client.session.createConsumer(parse(place)));
          }
          Session session = client.connection.createSession(transacted, transacted ? Session.SESSION_TRANSACTED : Session.AUTO_ACKNOWLEDGE);
          MessageProducer producer = session.createProducer(null);
          for (int n = 0; n < count; n++) {
            TextMessage message = session.createTextMessage(Integer.toString(n));
            message.setIntProperty("n", n);
            producer.send(parse(to), message);
          }
          if (transacted) {
            for (MessageConsumer consumer : consumers.values()) {
              Check.that("a message came before the commit", consumer.receiveNoWait() == null);
            }
            session.commit();
          }
          Check.equal("what came", gather(consumers.values(), want.split(" ").length), Arrays.asList(want.split(" ")));
        }
      });
    }
  }

  /** Receives so many messages, and sees that no more come. */
  private static List<String> gather(Iterable<MessageConsumer> consumers, int count) throws JMSException {
    List<String> came = new ArrayList<>();
    long deadline = System.currentTimeMillis() + Client.SOON;
    long quiet = 0;
    while (System.currentTimeMillis() < deadline && (came.size() < count || quiet < 2)) {
      int before = came.size();
      for (MessageConsumer consumer : consumers) {
        for (Message m = consumer.receive(20); m != null; m = consumer.receiveNoWait()) {
          came.add(show(m));
        }
      }
      quiet = came.size() == before ? quiet + 1 : 0;
    }
    Collections.sort(came);
    return came;
  }

  private static String show(Message m) throws JMSException {
    ActiveMQDestination original = ((ActiveMQMessage) m).getOriginalDestination();
    String name = ((ActiveMQDestination) m.getJMSDestination()).getPhysicalName();
    return Client.text(m) + "@" + name + (original == null ? "" : "<" + original.getPhysicalName());
  }

  private static Destination parse(String name) {
    return ActiveMQDestination.createDestination(name, ActiveMQDestination.QUEUE_TYPE);
  }

  static void deadLetter() throws Exception {
    try (Client client = Client.transacted(); Client other = Client.auto()) {
      MessageConsumer consumer = client.session.createConsumer(parse("Consumer.D.VirtualTopic.D?consumer.prefetchSize=1"));
      client.connection.getRedeliveryPolicy().setMaximumRedeliveries(0);
      consumer.close();
      consumer = client.session.createConsumer(parse("Consumer.D.VirtualTopic.D"));
      other.send(parse("topic://VirtualTopic.D"), other.session.createTextMessage("x"));
      Client.receive(consumer);
      client.session.rollback();
      Check.equal("the dead letter", show(other.receiveOne(parse("ActiveMQ.DLQ"))), "x@ActiveMQ.DLQ<Consumer.D.VirtualTopic.D");
    }
  }

  static void sendToPattern() throws Exception {
    try (Client client = Client.auto()) {
      for (String name : List.of("p.*", "p.>", "topic://p.>", "q,p.*")) {
        JMSException e = Check.thrown(JMSException.class, () -> client.send(parse(name), client.session.createTextMessage("x")));
        Check.that(name + ": got " + e, e.getMessage().contains("a message cannot be sent to a pattern"));
      }
    }
  }

  static void tooMany() throws Exception {
    try (Client client = Client.auto()) {
      for (int i = 0; i < 2; i++) {
        client.sendNumbers(parse("max." + i), 0, 1);
      }
      JMSException e = Check.thrown(JMSException.class, () -> client.sendNumbers(parse("max.2"), 0, 1));
      Check.that("got " + e, e.getMessage().contains("2 destinations of the policy queue://max.>, its limit"));
    }
  }

  /** What a queue keeps of nine messages with three keys. */
  private static void keeps(String queue, String want) throws Exception {
    try (Client client = Client.auto()) {
      for (int n = 0; n < 9; n++) {
        TextMessage message = client.session.createTextMessage(Integer.toString(n));
        message.setStringProperty("_AMQ_LVQ_NAME", "key " + n % 3);
        client.send(parse(queue), message);
      }
      MessageConsumer consumer = client.session.createConsumer(parse(queue));
      Check.equal("kept", String.join(" ", Client.texts(consumer, want.split(" ").length)), want);
      Client.nothing(consumer);
    }
  }
}
