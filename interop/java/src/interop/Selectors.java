package interop;

import jakarta.jms.DeliveryMode;
import jakarta.jms.InvalidSelectorException;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.TextMessage;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import org.apache.activemq.ActiveMQSession;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ConsumerId;
import org.apache.activemq.command.SessionId;

/** Selectors pick, leave the rest for others, and are refused when they do not parse. */
final class Selectors {
  static void addTo(Suite suite) {
    suite.add("selectors", Selectors::picks);
    suite.add("selector-leaves-rest", Selectors::leavesRest);
    suite.add("bad-selector", Selectors::bad);
    suite.add("bad-selector-unchecked", Selectors::badUnchecked);
  }

  static void picks() throws Exception {
    Map<String, List<String>> cases = new LinkedHashMap<>();
    cases.put("n = 1", List.of("1"));
    cases.put("n > 1 AND NOT (n = 3)", List.of("2", "4"));
    cases.put("n BETWEEN 2 AND 3", List.of("2", "3"));
    cases.put("color IN ('red', 'blue')", List.of("1", "3"));
    cases.put("color LIKE 'gr_en'", List.of("2"));
    cases.put("color LIKE 'b%'", List.of("3"));
    cases.put("color LIKE '100!%' ESCAPE '!'", List.of("4"));
    cases.put("missing IS NULL AND color IS NOT NULL", List.of("1", "2", "3", "4"));
    cases.put("missing <> 1 OR n = 2", List.of("2"));
    cases.put("price * 2 > 5.0", List.of("3", "4"));
    cases.put("JMSPriority > 6", List.of("1"));
    cases.put("JMSType = 'order' AND JMSDeliveryMode = 'PERSISTENT'", List.of("1", "2", "3", "4"));
    cases.put("even", List.of("2", "4"));
    cases.put("even = FALSE", List.of("1", "3"));
    int number = 0;
    for (Map.Entry<String, List<String>> entry : cases.entrySet()) {
      try (Client client = Client.auto()) {
        Queue queue = client.session.createQueue(Env.name("selectors." + number++));
        fill(client, queue);
        MessageConsumer consumer = client.session.createConsumer(queue, entry.getKey());
        Check.equal(entry.getKey(), Client.texts(consumer, entry.getValue().size()), entry.getValue());
        Check.that(entry.getKey() + " let more through", consumer.receive(50) == null);
      }
    }
  }

  private static void fill(Client client, Queue queue) throws Exception {
    String[] colors = {"red", "green", "blue", "100%"};
    MessageProducer producer = client.session.createProducer(queue);
    for (int n = 1; n <= 4; n++) {
      TextMessage message = client.session.createTextMessage(Integer.toString(n));
      message.setIntProperty("n", n);
      message.setStringProperty("color", colors[n - 1]);
      message.setDoubleProperty("price", n);
      message.setBooleanProperty("even", n % 2 == 0);
      message.setJMSType("order");
      producer.send(message, DeliveryMode.PERSISTENT, n == 1 ? 7 : 4, 0);
    }
  }

  static void leavesRest() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("selector-rest"));
      fill(client, queue);
      Check.equal("picked", Client.texts(client.session.createConsumer(queue, "even"), 2), List.of("2", "4"));
      Check.equal("rest", Client.texts(client.session.createConsumer(queue), 2), List.of("1", "3"));
    }
  }

  static void bad() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("bad-selector"));
      Check.thrown(InvalidSelectorException.class, () -> client.session.createConsumer(queue, "n ==== "));
      client.sendNumbers(queue, 0, 1); // the connection still works
      Check.equal("after", Client.text(client.receiveOne(queue)), "0");
    }
  }

  /** The Java client checks selectors itself; other libraries do not, so the broker's own answer is looked at too. */
  static void badUnchecked() throws Exception {
    try (Client client = Client.auto()) {
      ActiveMQSession session = (ActiveMQSession) client.session;
      ConsumerInfo info = new ConsumerInfo(new ConsumerId(new SessionId(client.connection.getConnectionInfo().getConnectionId(), 1), 99));
      info.setDestination(new ActiveMQQueue(Env.name("bad-selector")));
      info.setSelector("n LIKE 5 AND");
      info.setPrefetchSize(1);
      Check.thrown(InvalidSelectorException.class, () -> session.getConnection().syncSendPacket(info));
    }
  }
}
