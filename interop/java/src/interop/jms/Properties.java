package interop.jms;

import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Session;
import java.util.ArrayList;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Section 3.5: properties. */
final class Properties {
  private interface Getter {
    Object get(Message m, String name) throws JMSException;
  }

  private static final Map<String, Getter> GETTERS = new LinkedHashMap<>();

  static {
    GETTERS.put("boolean", Message::getBooleanProperty);
    GETTERS.put("byte", Message::getByteProperty);
    GETTERS.put("short", Message::getShortProperty);
    GETTERS.put("int", Message::getIntProperty);
    GETTERS.put("long", Message::getLongProperty);
    GETTERS.put("float", Message::getFloatProperty);
    GETTERS.put("double", Message::getDoubleProperty);
    GETTERS.put("String", Message::getStringProperty);
  }

  static void addTo(Table t) {
    t.in("3.5.1 Property names");
    t.add("null and empty are refused", "IllegalArgumentException", p -> {
      Message m = p.text("x");
      return Peer.thrown(() -> m.setIntProperty(null, 1), () -> m.setIntProperty("", 1), () -> m.setStringProperty(null, "a"));
    });
    t.add("of letters beyond ASCII", 3, p -> {
      Message m = p.text("x");
      m.setIntProperty("gr\u00fc\u00dfe_\u20ac$1", 3);
      return p.trip(m).getIntProperty("gr\u00fc\u00dfe_\u20ac$1");
    });
    t.add("are case-sensitive", "1 2", p -> {
      Message m = p.text("x");
      m.setIntProperty("a", 1);
      m.setIntProperty("A", 2);
      m = p.trip(m);
      return m.getIntProperty("a") + " " + m.getIntProperty("A");
    });

    t.in("3.5.2 Property values");
    t.add("of all types", "true 1 2 3 4 5.5 6.25 seven null", p -> {
      Message m = p.text("x");
      m.setBooleanProperty("a", true);
      m.setByteProperty("b", (byte) 1);
      m.setShortProperty("c", (short) 2);
      m.setIntProperty("d", 3);
      m.setLongProperty("e", 4);
      m.setFloatProperty("f", 5.5f);
      m.setDoubleProperty("g", 6.25);
      m.setStringProperty("h", "seven");
      m.setStringProperty("i", null);
      m = p.trip(m);
      List<String> values = new ArrayList<>();
      for (String name : "a b c d e f g h i".split(" ")) {
        values.add(String.valueOf(m.getObjectProperty(name)));
      }
      return String.join(" ", values);
    });
    t.add("at the ends of their ranges", true, p -> {
      Message m = p.text("x");
      Object[] values = {Byte.MIN_VALUE, Short.MIN_VALUE, Integer.MIN_VALUE, Long.MIN_VALUE, Long.MAX_VALUE, Double.MIN_VALUE, Double.MAX_VALUE,
          Float.MAX_VALUE, Double.NaN, Double.NEGATIVE_INFINITY, -0.0};
      for (int i = 0; i < values.length; i++) {
        m.setObjectProperty("p" + i, values[i]);
      }
      m = p.trip(m);
      boolean same = true;
      for (int i = 0; i < values.length; i++) {
        same &= values[i].equals(m.getObjectProperty("p" + i));
      }
      return same;
    });
    t.add("text of 100,000 characters", 100_000, p -> {
      Message m = p.text("x");
      m.setStringProperty("long", "\u00e9".repeat(100_000));
      return p.trip(m).getStringProperty("long").length();
    });
    t.add("empty text", "", p -> {
      Message m = p.text("x");
      m.setStringProperty("e", "");
      return p.trip(m).getStringProperty("e");
    });
    t.add("text beyond ASCII", "a\u00e9\u20ac", p -> {
      Message m = p.text("x");
      m.setStringProperty("e", "a\u00e9\u20ac");
      return p.trip(m).getStringProperty("e");
    });
    t.add("a thousand", 999, p -> {
      Message m = p.text("x");
      for (int i = 0; i < 1000; i++) {
        m.setIntProperty("n" + i, i);
      }
      return p.trip(m).getIntProperty("n999");
    });

    t.in("3.5.4 Property value conversion");
    conversion(t, true, "true x x x x x x true");
    conversion(t, (byte) 7, "x 7 7 7 7 x x 7");
    conversion(t, (short) 7, "x x 7 7 7 x x 7");
    conversion(t, 7, "x x x 7 7 x x 7");
    conversion(t, 7L, "x x x x 7 x x 7");
    conversion(t, 1.5f, "x x x x x 1.5 1.5 1.5");
    conversion(t, 1.5, "x x x x x x 1.5 1.5");
    conversion(t, "7", "false 7 7 7 7 7.0 7.0 7");
    t.add("text that is no number", "NumberFormatException", p -> {
      Message m = p.text("x");
      m.setStringProperty("p", "seven");
      Message got = p.trip(m);
      return Peer.thrown(() -> got.getIntProperty("p"), () -> got.getLongProperty("p"), () -> got.getDoubleProperty("p"));
    });

    t.in("3.5.5 Property values as objects");
    t.add("another class is refused", "MessageFormatException", p -> Peer.thrown(() -> p.text("x").setObjectProperty("p", new StringBuilder())));
    t.add("keeps the class", "Short Float", p -> {
      Message m = p.text("x");
      m.setObjectProperty("s", (short) 1);
      m.setObjectProperty("f", 1f);
      m = p.trip(m);
      return m.getObjectProperty("s").getClass().getSimpleName() + " " + m.getObjectProperty("f").getClass().getSimpleName();
    });

    t.in("3.5.6 Property iteration");
    t.add("has the names set, and no header fields", "[JMSXDeliveryCount, a, b]", p -> {
      Message m = p.text("x");
      m.setIntProperty("a", 1);
      m.setStringProperty("b", "2");
      m.setJMSType("order");
      return new TreeSet<>(Collections.list(p.trip(m).getPropertyNames()));
    }).fromClient5("[a, b]");
    t.add("propertyExists", "true false", p -> {
      Message m = p.text("x");
      m.setIntProperty("a", 1);
      m = p.trip(m);
      return m.propertyExists("a") + " " + m.propertyExists("b");
    });

    t.in("3.5.7 Clearing a message's property values");
    t.add("leaves the body", "false x", p -> {
      Message m = p.text("x");
      m.setIntProperty("a", 1);
      m.clearProperties();
      m = p.trip(m);
      return m.propertyExists("a") + " " + Peer.show(m);
    });

    t.in("3.5.8 Non-existent properties");
    t.add("are as null is", "null null false NumberFormatException", p -> {
      Message m = p.trip(p.text("x"));
      return m.getStringProperty("no") + " " + m.getObjectProperty("no") + " " + m.getBooleanProperty("no") + " "
          + Peer.thrown(() -> m.getIntProperty("no"), () -> m.getByteProperty("no"), () -> m.getLongProperty("no"));
    });

    t.in("3.5.9 Defined properties");
    t.add("JMSXGroupID and JMSXGroupSeq are the client's", "g 5", p -> {
      Message m = p.text("x");
      m.setStringProperty("JMSXGroupID", "g");
      m.setIntProperty("JMSXGroupSeq", 5);
      m = p.trip(m);
      return m.getStringProperty("JMSXGroupID") + " " + m.getIntProperty("JMSXGroupSeq");
    });
    t.add("JMSXUserID is not set unless the broker is told to", null, p -> p.trip(p.text("x")).getStringProperty("JMSXUserID"));
    t.add("the connection says which are supported", true,
        p -> Collections.list(p.connection().getMetaData().getJMSXPropertyNames()).containsAll(List.of("JMSXGroupID", "JMSXGroupSeq", "JMSXDeliveryCount")));

    t.in("3.5.10 Provider-specific properties");
    t.add("JMS_ names pass", "v", p -> {
      Message m = p.text("x");
      m.setStringProperty("JMS_Vendor_x", "v");
      return p.trip(m).getStringProperty("JMS_Vendor_x");
    });

    t.in("3.5.11 JMSXDeliveryCount");
    t.add("is 1 at first", 1, p -> p.trip(p.text("x")).getIntProperty("JMSXDeliveryCount"));
    t.add("counts rollbacks", "1 2 3", p -> {
      p.send(p.queue(), "x");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      List<String> counts = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        counts.add(Peer.receive(consumer).getStringProperty("JMSXDeliveryCount"));
        session.rollback();
      }
      return String.join(" ", counts);
    });
    t.add("counts across consumers", "1 2 3", p -> {
      p.send(p.queue(), "x");
      List<String> counts = new ArrayList<>();
      for (int i = 0; i < 3; i++) {
        Session session = p.transacted();
        counts.add(Peer.receive(session.createConsumer(p.queue())).getStringProperty("JMSXDeliveryCount"));
        session.rollback();
        session.close();
      }
      return String.join(" ", counts);
    });
    t.add("is not raised for what nobody has seen", "1", p -> {
      p.send(p.queue(), "x", "y");
      Session session = p.session(Session.CLIENT_ACKNOWLEDGE);
      Peer.receive(session.createConsumer(p.queue())).acknowledge(); // y waits in the client
      session.close();
      return p.receive(p.queue()).getStringProperty("JMSXDeliveryCount");
    });
    t.add("of another connection's", "2", p -> {
      p.send(p.queue(), "x");
      var other = p.connect("");
      Peer.receive(Peer.session(other, Session.CLIENT_ACKNOWLEDGE).createConsumer(p.queue()));
      other.close();
      return p.receive(p.queue()).getStringProperty("JMSXDeliveryCount");
    });
    t.add("set on the message is ignored", "1", p -> {
      Message m = p.text("x");
      m.setIntProperty("JMSXDeliveryCount", 9);
      return p.trip(m).getStringProperty("JMSXDeliveryCount");
    });
    t.add("counts from the start of a message sent on", "1", p -> {
      p.send(p.queue(), "x");
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue());
      Peer.receive(consumer);
      session.rollback();
      session.createProducer(p.queue("b")).send(Peer.receive(consumer));
      session.commit();
      return p.receive(p.queue("b")).getStringProperty("JMSXDeliveryCount");
    });
  }

  /** A row of the table of conversions: x where a MessageFormatException or the like must be thrown. */
  private static void conversion(Table t, Object value, String want) {
    t.add("of a " + value.getClass().getSimpleName(), want, p -> {
      Message m = p.text("x");
      m.setObjectProperty("p", value);
      m = p.trip(m);
      List<String> got = new ArrayList<>();
      for (Getter getter : GETTERS.values()) {
        try {
          got.add(String.valueOf(getter.get(m, "p")));
        } catch (jakarta.jms.MessageFormatException e) {
          got.add("x");
        }
      }
      return String.join(" ", got);
    });
  }
}
