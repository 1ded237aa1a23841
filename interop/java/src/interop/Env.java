package interop;

import org.apache.activemq.ActiveMQConnectionFactory;

/**
 * What the test that started this program says: INTEROP_OPENWIRE (the client's URL), INTEROP_USER, INTEROP_PASSWORD,
 * INTEROP_RUN (prefix of all destination names, so that runs on one broker do not meet).
 */
final class Env {
  static final String URL = need("INTEROP_OPENWIRE");
  static final String USER = System.getenv("INTEROP_USER");
  static final String PASSWORD = System.getenv("INTEROP_PASSWORD");
  static final String RUN = need("INTEROP_RUN");

  static String need(String name) {
    String value = System.getenv(name);
    if (value == null || value.isEmpty()) {
      throw new IllegalStateException(name + " is not set");
    }
    return value;
  }

  /** A destination name of this run. */
  static String name(String scenario) {
    return RUN + "." + scenario;
  }

  /** A factory for the broker; options is a query such as {@code jms.prefetchPolicy.all=1}, or empty. */
  static ActiveMQConnectionFactory factory(String options) {
    return at(options.isEmpty() ? URL : URL + "?" + options);
  }

  static ActiveMQConnectionFactory at(String url) {
    ActiveMQConnectionFactory factory = new ActiveMQConnectionFactory(url);
    factory.setUserName(USER);
    factory.setPassword(PASSWORD);
    return factory;
  }
}
