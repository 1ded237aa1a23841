package interop.jms;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.Topic;

/** Section 3.8: selectors. What a browser with the selector shows of one message says whether it matches. */
final class Selectors {
  private static final String NO = "InvalidSelectorException";

  static void addTo(Table t) {
    t.in("3.8.1.1 Selector");
    literals(t);
    comparisons(t);
    arithmetic(t);
    logic(t);
    sets(t);
    headers(t);
    invalid(t);
    t.in("3.8.1.2 Null values");
    for (String unknown : new String[] {"none = 5", "NOT (none = 5)", "none <> 5", "none > 5", "none + 1 = 1", "none BETWEEN 1 AND 2", "none NOT BETWEEN 1 AND 2",
        "none IN ('a')", "none NOT IN ('a')", "none LIKE 'a%'", "none NOT LIKE 'a%'", "none", "NOT none", "none AND b", "none OR f"}) {
      matches(t, unknown, false);
    }
    matches(t, "none = none", false).classic(true, "A comparison with a null value is unknown.");
    matches(t, "none IS NULL", true);
    matches(t, "none IS NOT NULL", false);
    matches(t, "i IS NULL", false);
    matches(t, "i IS NOT NULL", true);
    matches(t, "none = 5 OR i = 5", true);
    matches(t, "NOT (none = 5 AND i = 6)", true);
    matches(t, "none IS NULL AND i = 5", true);
    matches(t, "nil IS NULL", true);
    t.in("3.8.1 Message selector");
    t.add("null and empty select all", "x x", p -> {
      p.send(p.queue(), "x");
      return Peer.browse(p.auto(), p.queue(), null) + " " + Peer.browse(p.auto(), p.queue(), "");
    });
    t.add("what is not selected stays for others", "1 3|2 4", p -> {
      numbered(p, p.queue(), 1, 2, 3, 4);
      String odd = Peer.take(p.auto().createConsumer(p.queue(), "n = 1 OR n = 3"), 2);
      return odd + "|" + p.left(p.queue());
    });
    t.add("two consumers with complementary selectors", "1 2 3|4 5 6", p -> {
      MessageConsumer low = p.auto().createConsumer(p.queue(), "n < 4");
      MessageConsumer high = p.auto().createConsumer(p.queue(), "n >= 4");
      numbered(p, p.queue(), 1, 4, 2, 5, 3, 6);
      return Peer.take(low, 3) + "|" + Peer.take(high, 3);
    });
    t.add("a topic's consumer never sees the rest", "5 6", p -> {
      Topic topic = p.topic();
      MessageConsumer consumer = p.auto().createConsumer(topic, "n > 4");
      numbered(p, topic, 4, 5, 3, 6);
      return Peer.take(consumer, 2);
    });
    t.add("is not of the body", "", p -> {
      p.send(p.queue(), "x");
      return Peer.browse(p.auto(), p.queue(), "text = 'x'");
    });
    t.add("getMessageSelector", "n > 1 null", p -> p.auto().createConsumer(p.queue(), "n > 1").getMessageSelector() + " " + p.consumer(p.queue("b")).getMessageSelector());
    t.add("of 1,000 terms", "x", p -> {
      Message m = p.text("x");
      m.setIntProperty("n", 999);
      p.send(p.queue(), m);
      StringBuilder selector = new StringBuilder("n = 0");
      for (int i = 1; i < 1000; i++) {
        selector.append(" OR n = ").append(i);
      }
      return Peer.browse(p.auto(), p.queue(), selector.toString());
    });
    t.add("a rolled-back message is selected again", "2 2!", p -> {
      numbered(p, p.queue(), 1, 2);
      Session session = p.transacted();
      MessageConsumer consumer = session.createConsumer(p.queue(), "n = 2");
      String first = Peer.take(consumer, 1);
      session.rollback();
      return first + " " + Peer.take(consumer, 1);
    });
  }

  private static void literals(Table t) {
    for (String yes : new String[] {"TRUE", "true", "1 = 1", "'a' = 'a'", "sp = 'it''s'", "l = 10000000000", "l = 10000000000L", "i = 0x5", "i = 05", "d = 2.5", "d = 25e-1",
        "d = 2.5E0", "d = .25e1", "neg = -3", "i = +5", "low = -9223372036854775808", "u = '_%'", "$x = 1", "_x = 1", "e1 = 1"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"FALSE", "I = 5", "s = 'ABC'", "s = 'abc '"}) {
      matches(t, no, false);
    }
  }

  private static void comparisons(Table t) {
    for (String yes : new String[] {"i = 5", "i = 5.0", "5 = i", "i > 4", "i >= 5", "i < 5.5", "i <= 5", "i <> 6", "f1 = 1.5", "by < sh", "i = e5", "s = 'abc'", "s <> 'x'",
        "b = TRUE", "b <> FALSE", "b", "f = FALSE", "l > i", "i=5", "i\t=\n5"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"i > 5", "i <> 5", "i = '5'", "s = 5", "n5 = 5", "b = 'true'", "d < 2.5"}) {
      matches(t, no, false);
    }
  }

  private static void arithmetic(Table t) {
    for (String yes : new String[] {"i + 1 = 6", "i - 1 * 2 = 3", "(i - 1) * 2 = 8", "i / 2.0 = 2.5", "-i = -5", "i * d = 12.5", "i - -3 = 8", "neg + 3 = 0", "i + l > l",
        "2 * i BETWEEN 9 AND 11"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"s + 1 = 2", "i / 0 = 0"}) {
      matches(t, no, false);
    }
    String java = "The specification's arithmetic is Java's: 5 / 2 is 2. ActiveMQ makes it 2.5.";
    matches(t, "i / 2 = 2", true).classic(false, java);
    matches(t, "i / 2 = 2.5", false).classic(true, java);
  }

  private static void logic(Table t) {
    for (String yes : new String[] {"i = 5 AND b", "i = 6 OR b", "NOT (i = 6)", "NOT f", "NOT NOT b", "i = 5 OR i = 6 AND f", "((i = 5))", "i between 1 and 9 and s like 'a%' or not b",
        "NOT (i = 6 OR f)"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"(i = 5 OR i = 6) AND f", "NOT b", "i = 5 AND f", "NOT i = 5 OR f"}) {
      matches(t, no, false);
    }
    String not = "NOT binds less than a comparison: ActiveMQ reads (NOT i) = 6, which is never true.";
    matches(t, "NOT i = 6", true).classic(false, not);
    matches(t, "NOT i = 6 AND b", true).classic(false, not);
  }

  private static void sets(Table t) {
    for (String yes : new String[] {"i BETWEEN 1 AND 5", "i BETWEEN 5 AND 5", "d BETWEEN 2 AND 3", "i NOT BETWEEN 6 AND 9", "s IN ('abc', 'x')", "s NOT IN ('x')", "s IN ('abc')", "s LIKE 'a%'",
        "s LIKE '_bc'", "s LIKE '%'", "s LIKE 'abc'", "s NOT LIKE 'x%'", "u LIKE '\\_\\%' ESCAPE '\\'", "u LIKE '__'", "empty LIKE ''", "empty LIKE '%'", "lines LIKE 'a%z'", "s LIKE '%b%'"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"i BETWEEN 5 AND 1", "i NOT BETWEEN 1 AND 5", "s IN ('ABC')", "s NOT IN ('abc')", "s LIKE 'ab'", "s LIKE 'A%'", "s LIKE 'a.c'", "s LIKE '_'", "s LIKE '\\_bc' ESCAPE '\\'",
        "s NOT LIKE 'abc'", "i LIKE '5'", "empty LIKE '_'", "s LIKE '.*'", "i IN ('5')"}) {
      matches(t, no, false);
    }
  }

  private static void headers(Table t) {
    for (String yes : new String[] {"JMSPriority = 6", "JMSType = 'order'", "JMSCorrelationID LIKE 'c-%'", "JMSDeliveryMode = 'PERSISTENT'", "JMSTimestamp > 0", "JMSMessageID LIKE 'ID:%'",
        "JMSXGroupID = 'g'", "JMSXGroupSeq = 3", "JMSExpiration = 0", "JMSRedelivered = FALSE", "JMSReplyTo IS NULL", "JMSXDeliveryCount = 1"}) {
      matches(t, yes, true);
    }
    for (String no : new String[] {"JMSPriority > 6", "JMSDeliveryMode = 'NON_PERSISTENT'", "JMSType IS NULL", "JMSDeliveryMode = 2"}) {
      matches(t, no, false);
    }
  }

  private static void invalid(Table t) {
    for (String bad : new String[] {"i =", "= 5", "i == 5", "i = 5 AND", "(i = 5", "i = 5)", "s = 'abc", "s IN 5", "s IN ()", "s LIKE", "s LIKE abc", "i BETWEEN 1", "i BETWEEN 1 AND", "i = #",
        "5", "'text'", "i + 1", "NOT", "i = 5 i = 6", "s LIKE 'a' ESCAPE 'ab'", "i IS 5", "AND", "i >> 5", "s IN (s)", "i = \"5\"", "IS NULL", "s > 'abb'"}) {
      t.add(bad, NO, p -> Peer.thrown(() -> p.auto().createConsumer(p.queue(), bad)));
    }
  }

  /** Says for a browser whether the candidate matches. */
  private static Table.Case matches(Table t, String selector, boolean want) {
    return t.add(selector.replace("\t", "\\t").replace("\n", "\\n"), want, p -> {
      p.auto().createProducer(p.queue()).send(candidate(p), jakarta.jms.DeliveryMode.PERSISTENT, 6, 0);
      return Peer.browse(p.auto(), p.queue(), selector).equals("candidate");
    });
  }

  private static Message candidate(Peer p) throws Exception {
    Message m = p.text("candidate");
    m.setIntProperty("i", 5);
    m.setIntProperty("neg", -3);
    m.setByteProperty("by", (byte) 7);
    m.setShortProperty("sh", (short) 300);
    m.setLongProperty("l", 10_000_000_000L);
    m.setLongProperty("low", Long.MIN_VALUE);
    m.setLongProperty("e5", 5);
    m.setFloatProperty("f1", 1.5f);
    m.setDoubleProperty("d", 2.5);
    m.setBooleanProperty("b", true);
    m.setBooleanProperty("f", false);
    m.setStringProperty("s", "abc");
    m.setStringProperty("sp", "it's");
    m.setStringProperty("u", "_%");
    m.setStringProperty("empty", "");
    m.setStringProperty("lines", "a\n\rz");
    m.setStringProperty("n5", "5");
    m.setStringProperty("nil", null);
    for (String name : new String[] {"$x", "_x", "e1"}) {
      m.setIntProperty(name, 1);
    }
    m.setJMSType("order");
    m.setJMSCorrelationID("c-1");
    m.setStringProperty("JMSXGroupID", "g");
    m.setIntProperty("JMSXGroupSeq", 3);
    return m;
  }

  private static void numbered(Peer p, jakarta.jms.Destination to, int... numbers) throws Exception {
    MessageProducer producer = p.auto().createProducer(to);
    for (int n : numbers) {
      Message m = p.text("" + n);
      m.setIntProperty("n", n);
      producer.send(m);
    }
    producer.close();
  }
}
