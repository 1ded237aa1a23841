package interop.jms;

import java.util.ArrayList;
import java.util.List;
import org.apache.activemq.ActiveMQConnectionMetaData;

/**
 * The cases. Each is named by the section of the Jakarta Messaging 3.1 specification that it is about (JMS 2.0 has the same numbers),
 * or by "ActiveMQ" for what clients rely on beyond it, and says as text what is to be seen.
 */
final class Table {
  static final boolean OLD_CLIENT = ActiveMQConnectionMetaData.PROVIDER_MAJOR_VERSION < 6;

  /** What happens in a case; what it returns is compared as text. */
  interface Body {
    Object run(Peer peer) throws Exception;
  }

  /** A case that goes on after the broker was restarted. before's result is handed to after. */
  interface After {
    Object run(Peer peer, Object before) throws Exception;
  }

  static final class Case {
    final String name;
    String want;
    final Body body;
    final After after;
    final boolean simplified;
    String classic;
    String reason = "";
    long millis;
    String got;

    private Case(String name, boolean simplified, Object want, Body body, After after) {
      this.simplified = simplified;
      this.name = name;
      this.want = String.valueOf(want);
      this.classic = this.want;
      this.body = body;
      this.after = after;
    }

    /** The client of ActiveMQ 5 makes something else of it, whatever the broker. */
    Case fromClient5(Object got) {
      if (OLD_CLIENT) {
        want = String.valueOf(got);
        classic = want;
      }
      return this;
    }

    /** ActiveMQ Classic shows something else, and why Godwit does not follow; docs/compatibility.md has the same line. */
    Case classic(Object got, String why) {
      classic = String.valueOf(got);
      reason = why;
      return this;
    }
  }

  final List<Case> cases = new ArrayList<>();
  private String section = "";
  private boolean simplified;

  /** The section of the cases that follow. */
  void in(String section) {
    this.section = section;
    simplified = false;
  }

  /** The section of cases with the simplified API, which the clients of ActiveMQ 5 do not have. */
  void inSimplified(String section) {
    this.section = section;
    simplified = true;
  }

  Case add(String title, Object want, Body body) {
    return add(title, want, body, null);
  }

  Case add(String title, Object want, Body body, After after) {
    String name = section + ": " + title;
    for (Case other : cases) {
      if (other.name.equals(name)) {
        throw new IllegalArgumentException("two cases named " + name);
      }
    }
    Case added = new Case(name, simplified, want, body, after);
    cases.add(added);
    return added;
  }
}
