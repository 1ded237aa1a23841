package interop.jms;

import jakarta.jms.BytesMessage;
import jakarta.jms.JMSException;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.ObjectMessage;
import jakarta.jms.Session;
import jakarta.jms.StreamMessage;
import jakarta.jms.TextMessage;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.TreeSet;

/** Section 3.11: bodies. */
final class Contents {
  private interface MapGetter {
    Object get(MapMessage m, String name) throws JMSException;
  }

  private interface StreamGetter {
    Object get(StreamMessage m) throws JMSException;
  }

  private static final Map<String, MapGetter> MAP = new LinkedHashMap<>();
  private static final Map<String, StreamGetter> STREAM = new LinkedHashMap<>();

  static {
    MAP.put("boolean", MapMessage::getBoolean);
    MAP.put("byte", MapMessage::getByte);
    MAP.put("short", MapMessage::getShort);
    MAP.put("char", MapMessage::getChar);
    MAP.put("int", MapMessage::getInt);
    MAP.put("long", MapMessage::getLong);
    MAP.put("float", MapMessage::getFloat);
    MAP.put("double", MapMessage::getDouble);
    MAP.put("String", MapMessage::getString);
    MAP.put("bytes", (m, name) -> Arrays.toString(m.getBytes(name)));
    STREAM.put("boolean", StreamMessage::readBoolean);
    STREAM.put("byte", StreamMessage::readByte);
    STREAM.put("short", StreamMessage::readShort);
    STREAM.put("char", StreamMessage::readChar);
    STREAM.put("int", StreamMessage::readInt);
    STREAM.put("long", StreamMessage::readLong);
    STREAM.put("float", StreamMessage::readFloat);
    STREAM.put("double", StreamMessage::readDouble);
    STREAM.put("String", StreamMessage::readString);
  }

  static void addTo(Table t) {
    texts(t);
    bytes(t);
    maps(t);
    streams(t);
    objects(t);
    t.in("3.11 Body");
    t.add("a message without one", "Message", p -> Peer.kind(p.trip(p.auto().createMessage())));
    t.add("of each kind compressed", "text 100000 map stream object", p -> {
      Session session = Peer.auto(p.connect("jms.useCompression=true"));
      MessageProducer producer = session.createProducer(p.queue());
      producer.send(session.createTextMessage("text"));
      BytesMessage bytes = session.createBytesMessage();
      bytes.writeBytes(new byte[100_000]);
      producer.send(bytes);
      MapMessage map = session.createMapMessage();
      map.setString("k", "map");
      producer.send(map);
      StreamMessage stream = session.createStreamMessage();
      stream.writeString("stream");
      producer.send(stream);
      producer.send(session.createObjectMessage("object"));
      MessageConsumer consumer = p.consumer(p.queue());
      return String.join(" ", ((TextMessage) Peer.receive(consumer)).getText(), "" + ((BytesMessage) Peer.receive(consumer)).getBodyLength(),
          ((MapMessage) Peer.receive(consumer)).getString("k"), ((StreamMessage) Peer.receive(consumer)).readString(),
          "" + ((ObjectMessage) Peer.receive(consumer)).getObject());
    });
    t.add("of 8 MB", 8_000_000, p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeBytes(new byte[8_000_000]);
      return ((BytesMessage) p.trip(m)).getBodyLength();
    });

    t.in("3.11.1 Clearing a message body");
    t.add("empties each kind", "null 0 false MessageEOFException null", p -> {
      TextMessage text = p.text("x");
      text.clearBody();
      BytesMessage bytes = p.auto().createBytesMessage();
      bytes.writeInt(1);
      bytes.clearBody();
      MapMessage map = p.auto().createMapMessage();
      map.setInt("a", 1);
      map.clearBody();
      StreamMessage stream = p.auto().createStreamMessage();
      stream.writeInt(1);
      stream.clearBody();
      ObjectMessage object = p.auto().createObjectMessage("x");
      object.clearBody();
      StreamMessage got = (StreamMessage) p.trip(stream);
      return ((TextMessage) p.trip(text)).getText() + " " + ((BytesMessage) p.trip(bytes)).getBodyLength() + " "
          + ((MapMessage) p.trip(map)).itemExists("a") + " " + Peer.thrown(() -> got.readInt()) + " " + ((ObjectMessage) p.trip(object)).getObject();
    });
    t.in("3.11.2 Read-only message body");
    t.add("a received one cannot be written", "MessageNotWriteableException", p -> {
      BytesMessage bytes = (BytesMessage) p.trip(p.auto().createBytesMessage());
      MapMessage map = (MapMessage) p.trip(p.auto().createMapMessage());
      StreamMessage stream = (StreamMessage) p.trip(p.auto().createStreamMessage());
      ObjectMessage object = (ObjectMessage) p.trip(p.auto().createObjectMessage("x"));
      return Peer.thrown(() -> bytes.writeInt(1), () -> map.setInt("a", 1), () -> stream.writeInt(1), () -> object.setObject("y"));
    });
    t.add("one being written cannot be read", "MessageNotReadableException", p -> {
      BytesMessage bytes = p.auto().createBytesMessage();
      StreamMessage stream = p.auto().createStreamMessage();
      return Peer.thrown(() -> bytes.readInt(), () -> stream.readInt(), () -> bytes.getBodyLength());
    });

    t.in("3.11.3 Conversions of StreamMessage and MapMessage");
    conversion(t, true, "true x x x x x x x true x");
    conversion(t, (byte) 7, "x 7 7 x 7 7 x x 7 x");
    conversion(t, (short) 7, "x x 7 x 7 7 x x 7 x");
    conversion(t, 'c', "x x x c x x x x c x");
    conversion(t, 7, "x x x x 7 7 x x 7 x");
    conversion(t, 7L, "x x x x x 7 x x 7 x");
    conversion(t, 1.5f, "x x x x x x 1.5 1.5 1.5 x");
    conversion(t, 1.5, "x x x x x x x 1.5 1.5 x");
    conversion(t, "7", "false 7 7 x 7 7 7.0 7.0 7 x");
    t.add("MapMessage of bytes", "x x x x x x x x x [1, 2]", p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setBytes("k", new byte[] {1, 2});
      return read((MapMessage) p.trip(m));
    });
  }

  private static void texts(Table t) {
    t.in("3.11 TextMessage");
    for (String[] text : new String[][] {{"empty", ""}, {"with NUL", "a\u0000b"}, {"beyond the basic plane", "\ud83d\ude00"}, {"of many lines", "a\r\nb\tc"},
        {"of 8,191 characters", "x".repeat(8191)}, {"of 70,000 characters", "\u20ac".repeat(70_000)}}) {
      t.add(text[0], true, p -> ((TextMessage) p.trip(p.text(text[1]))).getText().equals(text[1]));
    }
    t.add("null", null, p -> ((TextMessage) p.trip(p.auto().createTextMessage())).getText());
    t.add("getBody", "x true false", p -> {
      Message m = p.trip(p.text("x"));
      return m.getBody(String.class) + " " + m.isBodyAssignableTo(String.class) + " " + m.isBodyAssignableTo(Map.class);
    });
    t.add("getBody of a wrong class", "MessageFormatException", p -> {
      Message m = p.trip(p.text("x"));
      return Peer.thrown(() -> m.getBody(Integer.class));
    });
  }

  private static void bytes(Table t) {
    t.in("3.11 BytesMessage");
    t.add("of all types", "true 1 2 c 3 4 5.5 6.5 text [7, 8] [8] EOF", p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeBoolean(true);
      m.writeByte((byte) 1);
      m.writeShort((short) 2);
      m.writeChar('c');
      m.writeInt(3);
      m.writeLong(4);
      m.writeFloat(5.5f);
      m.writeDouble(6.5);
      m.writeUTF("text");
      m.writeBytes(new byte[] {7, 8});
      m.writeBytes(new byte[] {7, 8, 9}, 1, 1);
      BytesMessage b = (BytesMessage) p.trip(m);
      byte[] two = new byte[2];
      byte[] one = new byte[1];
      return b.readBoolean() + " " + b.readByte() + " " + b.readShort() + " " + b.readChar() + " " + b.readInt() + " " + b.readLong() + " "
          + b.readFloat() + " " + b.readDouble() + " " + b.readUTF() + " " + (b.readBytes(two) == 2 ? Arrays.toString(two) : "?") + " "
          + (b.readBytes(one) == 1 ? Arrays.toString(one) : "?") + " " + Peer.thrown(() -> b.readByte()).replace("MessageEOFException", "EOF");
    });
    t.add("writeObject", "1 text MessageFormatException", p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeObject(1);
      m.writeObject("text");
      String refused = Peer.thrown(() -> m.writeObject(new StringBuilder()));
      BytesMessage b = (BytesMessage) p.trip(m);
      return b.readInt() + " " + b.readUTF() + " " + refused;
    });
    t.add("unsigned", "255 65535", p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeByte((byte) -1);
      m.writeShort((short) -1);
      m = (BytesMessage) p.trip(m);
      return m.readUnsignedByte() + " " + m.readUnsignedShort();
    });
    t.add("can be read again after reset", "1 1", p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeInt(1);
      m = (BytesMessage) p.trip(m);
      String first = "" + m.readInt();
      m.reset();
      return first + " " + m.readInt();
    });
    t.add("empty", "0 -1", p -> {
      BytesMessage m = (BytesMessage) p.trip(p.auto().createBytesMessage());
      return m.getBodyLength() + " " + m.readBytes(new byte[1]);
    });
    t.add("has a length", 300_000, p -> {
      BytesMessage m = p.auto().createBytesMessage();
      m.writeBytes(new byte[300_000]);
      return ((BytesMessage) p.trip(m)).getBodyLength();
    });
  }

  private static void maps(Table t) {
    t.in("3.11 MapMessage");
    t.add("of all types", "[a, b, c, d, e, f, g, h, i, j] true c [1] null", p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setBoolean("a", true);
      m.setByte("b", (byte) 1);
      m.setShort("c", (short) 2);
      m.setChar("d", 'c');
      m.setInt("e", 3);
      m.setLong("f", 4);
      m.setFloat("g", 5);
      m.setDouble("h", 6);
      m.setBytes("i", new byte[] {0, 1, 2}, 1, 1);
      m.setString("j", null);
      m = (MapMessage) p.trip(m);
      return new TreeSet<>(Collections.list(m.getMapNames())) + " " + m.getBoolean("a") + " " + m.getChar("d") + " " + Arrays.toString(m.getBytes("i")) + " "
          + m.getString("j");
    });
    t.add("a name that is not there", "null null false -", p -> {
      MapMessage m = (MapMessage) p.trip(p.auto().createMapMessage());
      return m.getString("no") + " " + m.getObject("no") + " " + m.getBoolean("no") + " " + Peer.thrown(() -> m.getInt("no"), () -> m.getLong("no"));
    });
    t.add("null and empty names are refused", "IllegalArgumentException", p -> {
      MapMessage m = p.auto().createMapMessage();
      return Peer.thrown(() -> m.setInt(null, 1), () -> m.setInt("", 1), () -> m.setString(null, "x"));
    });
    t.add("itemExists of null", "true", p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setObject("n", null);
      return ((MapMessage) p.trip(m)).itemExists("n");
    });
    t.add("another class is refused", "MessageFormatException", p -> Peer.thrown(() -> p.auto().createMapMessage().setObject("x", new StringBuilder())));
    t.add("nested", "{k=[1, two]}", p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setObject("m", Map.of("k", List.of(1, "two")));
      return ((MapMessage) p.trip(m)).getObject("m");
    });
    t.add("text of 70,000 characters", 70_000, p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setString("s", "\u00e9".repeat(70_000));
      return ((MapMessage) p.trip(m)).getString("s").length();
    });
    t.add("empty", false, p -> ((MapMessage) p.trip(p.auto().createMapMessage())).getMapNames().hasMoreElements());
  }

  private static void streams(Table t) {
    t.in("3.11 StreamMessage");
    t.add("of all types", "true 1 2 c 3 4 5.0 6.0 text null EOF", p -> {
      StreamMessage m = p.auto().createStreamMessage();
      m.writeBoolean(true);
      m.writeByte((byte) 1);
      m.writeShort((short) 2);
      m.writeChar('c');
      m.writeInt(3);
      m.writeLong(4);
      m.writeFloat(5);
      m.writeDouble(6);
      m.writeString("text");
      m.writeObject(null);
      m = (StreamMessage) p.trip(m);
      List<String> values = new ArrayList<>();
      for (int i = 0; i < 10; i++) {
        values.add(String.valueOf(m.readObject()));
      }
      StreamMessage end = m;
      return String.join(" ", values) + " " + Peer.thrown(() -> end.readObject()).replace("MessageEOFException", "EOF");
    });
    t.add("bytes are read in pieces", "2 1 -1", p -> {
      StreamMessage m = p.auto().createStreamMessage();
      m.writeBytes(new byte[] {1, 2, 3});
      m = (StreamMessage) p.trip(m);
      byte[] two = new byte[2];
      return m.readBytes(two) + " " + m.readBytes(two) + " " + m.readBytes(two);
    });
    t.add("a failed read does not move on", "MessageFormatException text", p -> {
      StreamMessage m = p.auto().createStreamMessage();
      m.writeString("text");
      StreamMessage got = (StreamMessage) p.trip(m);
      return Peer.thrown(() -> got.readChar()) + " " + got.readString();
    });
    t.add("null cannot be read as a number", "NullPointerException", p -> {
      StreamMessage m = p.auto().createStreamMessage();
      m.writeObject(null);
      StreamMessage got = (StreamMessage) p.trip(m);
      return Peer.thrown(() -> got.readInt());
    });
    t.add("can be read again after reset", "x x", p -> {
      StreamMessage m = p.auto().createStreamMessage();
      m.writeString("x");
      m = (StreamMessage) p.trip(m);
      String first = m.readString();
      m.reset();
      return first + " " + m.readString();
    });
  }

  private static void objects(Table t) {
    t.in("3.11 ObjectMessage");
    t.add("of a number", 7, p -> ((ObjectMessage) p.trip(p.auto().createObjectMessage(7))).getObject());
    t.add("null", null, p -> ((ObjectMessage) p.trip(p.auto().createObjectMessage())).getObject());
    t.add("is copied at the send", "[1]", p -> {
      Integer[] numbers = {1};
      ObjectMessage m = p.auto().createObjectMessage(numbers);
      numbers[0] = 2;
      return Arrays.toString((Integer[]) ((ObjectMessage) p.trip(m)).getObject());
    });
    t.add("of a class that is not trusted", "JMSException", p -> {
      ObjectMessage m = (ObjectMessage) p.trip(p.auto().createObjectMessage(new java.util.concurrent.atomic.AtomicReference<>(new Untrusted())));
      return Peer.thrown(() -> m.getObject());
    });
  }

  /** In no package that clients trust by default. */
  static final class Untrusted implements java.io.Serializable {
    private static final long serialVersionUID = 1;
  }

  /** A row of the table of conversions, for both kinds of message: x where a MessageFormatException must be thrown. */
  private static void conversion(Table t, Object value, String want) {
    t.add("MapMessage of a " + value.getClass().getSimpleName(), want, p -> {
      MapMessage m = p.auto().createMapMessage();
      m.setObject("k", value);
      return read((MapMessage) p.trip(m));
    });
    t.add("StreamMessage of a " + value.getClass().getSimpleName(), want.substring(0, want.length() - 2), p -> {
      StreamMessage sent = p.auto().createStreamMessage();
      sent.writeObject(value);
      StreamMessage m = (StreamMessage) p.trip(sent);
      List<String> got = new ArrayList<>();
      for (StreamGetter getter : STREAM.values()) {
        m.reset();
        try {
          got.add(String.valueOf(getter.get(m)));
        } catch (jakarta.jms.MessageFormatException e) {
          got.add("x");
        }
      }
      return String.join(" ", got);
    });
  }

  private static String read(MapMessage m) throws JMSException {
    List<String> got = new ArrayList<>();
    for (MapGetter getter : MAP.values()) {
      try {
        got.add(String.valueOf(getter.get(m, "k")));
      } catch (jakarta.jms.MessageFormatException e) {
        got.add("x");
      }
    }
    return String.join(" ", got);
  }
}
