package interop;

/** {@code Main SUITE}: runs one suite against the broker that the environment names (see {@link Env}). */
public final class Main {
  public static void main(String[] args) throws Exception {
    Suite suite = new Suite();
    switch (args[0]) {
      case "full" -> {
        Bodies.addTo(suite);
        Deliveries.addTo(suite);
        Transactions.addTo(suite);
        XA.addTo(suite);
        Acknowledgements.addTo(suite);
        Selectors.addTo(suite);
        Topics.addTo(suite);
        Replies.addTo(suite);
        Flow.addTo(suite);
        Connections.addTo(suite);
        Frameworks.addTo(suite);
        CamelTransactions.addTo(suite);
      }
      case "short" -> { // enough to see that another way in leads to the same broker
        suite.add("text", Bodies::text);
        suite.add("bytes", Bodies::bytes);
        suite.add("properties", Bodies::properties);
        suite.add("commit", Transactions::commit);
        suite.add("rollback-redelivers", Transactions::rollbackRedelivers);
        suite.add("request-reply", Replies::requestReply);
        suite.add("large", Flow::large);
        suite.add("failover-url", Connections::failoverUrl);
        suite.add("spring-template", Frameworks::springTemplate);
      }
      case "refused" -> suite.add("wrong-credentials", Connections::wrongCredentials);
      case "ring-first" -> suite.add("ring-first", Ring::first);
      case "ring-last" -> suite.add("ring-last", Ring::last);
      case "xa" -> XA.addTo(suite);
      case "routes" -> Routes.addTo(suite);
      case "advisories" -> Advisories.addTo(suite);
      case "scheduled" -> Scheduled.addTo(suite);
      case "consumers" -> Consumers.addTo(suite);
      case "limits" -> Limits.addTo(suite);
      case "consumer-policies" -> Consumers.addPoliciesTo(suite);
      case "followers" -> Followers.addTo(suite);
      case "moving" -> Moving.addTo(suite);
      case "crash" -> Crash.addTo(suite, false);
      case "chaos" -> Crash.addTo(suite, true);
      default -> throw new IllegalArgumentException("no suite " + args[0]);
    }
    suite.run();
    System.exit(0); // threads of a scenario that hung must not keep the process
  }
}
