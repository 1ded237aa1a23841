package interop;

import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.XASession;
import java.nio.charset.StandardCharsets;
import java.util.Arrays;
import java.util.HashMap;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import javax.transaction.xa.XAException;
import javax.transaction.xa.XAResource;
import javax.transaction.xa.Xid;
import org.apache.activemq.ActiveMQXAConnection;
import org.apache.activemq.ActiveMQXAConnectionFactory;

/**
 * XA by the client's own resource, in right and in wrong orders. A scenario is a row of verbs, each with what must come of it after a colon: nothing for
 * success, a number for an XAException's code, ro for XA_RDONLY. A digit at a verb's end is the branch, 1 if there is none; 'other' before it the second
 * connection. q=n: so many messages can be had; recover=n: so many branches of this scenario are prepared; d ends the first connection and opens it again.
 */
final class XA {
  private static final Map<String, String> SCRIPTS = new java.util.LinkedHashMap<>();

  static {
    SCRIPTS.put("two-phases", "start send end prepare q=0 recover=1 commit q=1 recover=0 rollback:-4");
    SCRIPTS.put("one-phase", "start send end one q=1 one:-4");
    SCRIPTS.put("rollback", "start send end rollback q=0 rollback:-4");
    SCRIPTS.put("prepared-rollback", "start send end prepare rollback q=0 recover=0");
    SCRIPTS.put("read-only", "start end prepare:ro commit:-4 recover=0");
    SCRIPTS.put("empty-one-phase", "start end one");
    SCRIPTS.put("empty-rollback", "start end rollback");
    SCRIPTS.put("never-seen", "commit:-4 one:-4 rollback:-4 forget:-4 recover=0");
    SCRIPTS.put("end-without-start", "end"); // which the client keeps to itself
    SCRIPTS.put("start-twice", "start start:-6 end rollback");
    SCRIPTS.put("prepare-without-end", "start send prepare:-6 end rollback");
    SCRIPTS.put("commit-without-prepare", "start send end commit:-6 rollback q=0");
    SCRIPTS.put("suspend-resume", "start send suspend resume send end prepare commit q=2");
    SCRIPTS.put("suspend-twice", "start suspend suspend:-6 resume end rollback");
    SCRIPTS.put("fail", "start send fail rollback q=0");
    SCRIPTS.put("interleaved", "start1 send suspend1 start2 send send end2 prepare2 recover=1 commit2 q=2 resume1 send end1 one1 q=2");
    SCRIPTS.put("receive", "seed start receive end prepare q=0 commit q=0");
    SCRIPTS.put("receive-rollback", "seed start receive end rollback d q=1");
    SCRIPTS.put("receive-prepared-rollback", "seed start receive end prepare d q=0 recover=1 rollback q=1");
    SCRIPTS.put("receive-send", "seed start receive send end prepare d recover=1 commit q=1");
    SCRIPTS.put("connection-lost-unprepared", "start send end d commit:-4 q=0");
    SCRIPTS.put("connection-lost-prepared", "start send end prepare d recover=1 q=0 commit q=1");
    SCRIPTS.put("settled-elsewhere", "start send end prepare othercommit q=1");
    SCRIPTS.put("one-phase-elsewhere", "start send end otherone q=1");
    SCRIPTS.put("joined", "start send otherstart othersend end otherend prepare commit q=2");
    SCRIPTS.put("joined-one-phase", "start send end otherjoin othersend otherend one q=2");
    SCRIPTS.put("joined-rollback", "start send otherstart othersend end otherend otherrollback q=0");
  }

  static void addTo(Suite suite) {
    SCRIPTS.forEach((name, script) -> suite.add("xa-" + name, () -> {
      try (Run run = new Run(name)) {
        run.play(script);
      }
    }));
    suite.add("xa-is-same", XA::isSame);
  }

  static ActiveMQXAConnection connect() throws Exception {
    ActiveMQXAConnectionFactory factory = new ActiveMQXAConnectionFactory(Env.URL);
    factory.setUserName(Env.USER);
    factory.setPassword(Env.PASSWORD);
    ActiveMQXAConnection connection = (ActiveMQXAConnection) factory.createXAConnection();
    connection.start();
    return connection;
  }

  /** Two connections are of one resource manager, so that a transaction manager may join them. */
  static void isSame() throws Exception {
    ActiveMQXAConnection one = connect();
    ActiveMQXAConnection two = connect();
    try {
      XAResource a = one.createXASession().getXAResource();
      XAResource b = two.createXASession().getXAResource();
      Check.equal("two connections to one broker", a.isSameRM(b), true);
    } finally {
      one.close();
      two.close();
    }
  }

  record Id(byte[] global, byte[] branch) implements Xid {
    static Id of(String name, int n) {
      return new Id((Env.RUN + "." + name).getBytes(StandardCharsets.UTF_8), new byte[] {(byte) n, 0, -1});
    }

    @Override
    public int getFormatId() {
      return 0x4757;
    }

    @Override
    public byte[] getGlobalTransactionId() {
      byte[] end = global.length <= 64 ? global : Arrays.copyOfRange(global, global.length - 64, global.length);
      return end.clone();
    }

    @Override
    public byte[] getBranchQualifier() {
      return branch.clone();
    }
  }

  private static final class Side {
    final ActiveMQXAConnection connection = connect();
    final XASession session = connection.createXASession();
    final XAResource resource = session.getXAResource();
    MessageConsumer consumer;

    Side() throws Exception {}
  }

  private static final class Run implements AutoCloseable {
    final String name;
    Side first = new Side();
    final Side other = new Side();
    final Map<Integer, Id> ids = new HashMap<>();

    Run(String name) throws Exception {
      this.name = name;
    }

    void play(String script) throws Exception {
      for (String word : script.split(" ")) {
        String[] parts = word.split(":");
        String want = parts.length > 1 ? parts[1] : "ok";
        int equals = word.indexOf('=');
        if (equals > 0) {
          String got = Integer.toString(word.startsWith("q") ? waiting() : prepared().size());
          Check.equal(word, got, word.substring(equals + 1));
          continue;
        }
        String got;
        try {
          got = step(parts[0]);
        } catch (XAException e) {
          got = Integer.toString(e.errorCode);
        }
        Check.equal(word, got, want);
      }
    }

    private Id id(int n) {
      return ids.computeIfAbsent(n, k -> Id.of(name, k));
    }

    private String step(String word) throws Exception {
      Side side = word.startsWith("other") ? other : first;
      String verb = word.startsWith("other") ? word.substring(5) : word;
      int n = 1;
      if (Character.isDigit(verb.charAt(verb.length() - 1))) {
        n = verb.charAt(verb.length() - 1) - '0';
        verb = verb.substring(0, verb.length() - 1);
      }
      XAResource xa = side.resource;
      Queue queue = side.session.createQueue(Env.name("xa." + name));
      switch (verb) {
        case "start" -> xa.start(id(n), XAResource.TMNOFLAGS);
        case "join" -> xa.start(id(n), XAResource.TMJOIN);
        case "resume" -> xa.start(id(n), XAResource.TMRESUME);
        case "end" -> xa.end(id(n), XAResource.TMSUCCESS);
        case "suspend" -> xa.end(id(n), XAResource.TMSUSPEND);
        case "fail" -> xa.end(id(n), XAResource.TMFAIL);
        case "prepare" -> {
          return xa.prepare(id(n)) == XAResource.XA_RDONLY ? "ro" : "ok";
        }
        case "commit" -> xa.commit(id(n), false);
        case "one" -> xa.commit(id(n), true);
        case "rollback" -> xa.rollback(id(n));
        case "forget" -> xa.forget(id(n));
        case "send" -> side.session.createProducer(queue).send(side.session.createTextMessage("x"));
        case "receive" -> {
          side.consumer = side.session.createConsumer(queue);
          Client.receive(side.consumer);
        }
        case "seed" -> {
          try (Client client = Client.auto()) {
            client.sendNumbers(client.session.createQueue(Env.name("xa." + name)), 0, 1);
          }
        }
        case "d" -> {
          first.connection.close();
          first = new Side();
        }
        default -> throw new IllegalArgumentException(word);
      }
      return "ok";
    }

    /** Takes what is there, and says how much it was. */
    private int waiting() throws Exception {
      try (Client client = Client.auto()) {
        MessageConsumer consumer = client.session.createConsumer(client.session.createQueue(Env.name("xa." + name)));
        int n = 0;
        for (Message m = consumer.receive(n == 0 ? 500 : 100); m != null; m = consumer.receive(100)) {
          n++;
        }
        return n;
      }
    }

    private Set<String> prepared() throws Exception {
      Set<String> found = new TreeSet<>();
      for (Xid x : other.resource.recover(XAResource.TMSTARTRSCAN)) {
        if (Arrays.equals(x.getGlobalTransactionId(), id(1).getGlobalTransactionId())) {
          found.add(Arrays.toString(x.getBranchQualifier()));
        }
      }
      return found;
    }

    @Override
    public void close() throws Exception {
      first.connection.close();
      other.connection.close();
    }
  }
}
