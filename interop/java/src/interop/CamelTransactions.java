package interop;

import jakarta.jms.ConnectionFactory;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.TextMessage;
import java.util.List;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.activemq.ActiveMQConnectionFactory;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.jms.JmsComponent;
import org.apache.camel.impl.DefaultCamelContext;
import org.apache.camel.spring.spi.SpringTransactionPolicy;
import org.messaginghub.pooled.jms.JmsPoolConnectionFactory;
import org.springframework.jms.connection.JmsTransactionManager;
import org.springframework.jms.connection.SingleConnectionFactory;

/** Camel routes whose receiving and sending are one JMS transaction. */
final class CamelTransactions {
  static void addTo(Suite suite) {
    suite.add("camel-transacted-failure", CamelTransactions::failureGivesBack);
    suite.add("camel-transacted-dead-letter", CamelTransactions::deadLetter);
    suite.add("camel-transacted-multicast", CamelTransactions::multicast);
    suite.add("camel-transacted-policy", CamelTransactions::policy);
    suite.add("camel-transacted-handled", CamelTransactions::handled);
    suite.add("camel-transacted-durable", CamelTransactions::durable);
  }

  /** A message is in the "out" queue exactly once, although each try but the last fails after the send. */
  static void failureGivesBack() throws Exception {
    String in = Env.name("camel-tx.in");
    String out = Env.name("camel-tx.out");
    ConcurrentHashMap<String, AtomicInteger> tries = new ConcurrentHashMap<>();
    AtomicInteger unmarked = new AtomicInteger();
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            errorHandler(noErrorHandler());
            from("jms:queue:" + in).to("jms:queue:" + out).process(exchange -> {
              int n = tries.computeIfAbsent(exchange.getMessage().getBody(String.class), text -> new AtomicInteger()).incrementAndGet();
              if (n > 1 && !exchange.getMessage().getHeader("JMSRedelivered", Boolean.class)) {
                unmarked.incrementAndGet();
              }
              if (n < 3) {
                throw new IllegalStateException("try " + n + " fails");
              }
            });
          }
        }, transacted(Env.factory(IMPATIENT)));
        Client client = Client.auto()) {
      client.sendNumbers(client.session.createQueue(in), 0, 10);
      Queue queue = client.session.createQueue(out);
      MessageConsumer consumer = client.session.createConsumer(queue);
      List<String> got = new java.util.ArrayList<>(Client.texts(consumer, 10));
      java.util.Collections.sort(got);
      Check.equal("out", got, Client.numbers(0, 10));
      client.send(queue, client.session.createTextMessage("last"));
      Check.equal("nothing before", Client.text(Client.receive(consumer)), "last");
      Check.equal("redeliveries without the mark", unmarked.get(), 0);
    }
    Check.equal("left", Acknowledgements.left(in), List.of());
  }

  static void deadLetter() throws Exception {
    String in = Env.name("camel-dead.in");
    String out = Env.name("camel-dead.out");
    AtomicInteger tries = new AtomicInteger();
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            errorHandler(noErrorHandler());
            from("jms:queue:" + in).to("jms:queue:" + out).process(exchange -> {
              tries.incrementAndGet();
              throw new IllegalStateException("always");
            });
          }
        }, transacted(Env.factory(IMPATIENT)));
        Client client = Client.auto()) {
      TextMessage poison = client.session.createTextMessage("poison");
      poison.setStringProperty("case", in);
      client.send(client.session.createQueue(in), poison);
      Message dead = Client.receive(client.session.createConsumer(client.session.createQueue("ActiveMQ.DLQ"), "case = '" + in + "'"));
      Check.equal("dead letter", Client.text(dead), "poison");
      Check.equal("tries", tries.get(), 7);
    }
    Check.equal("out", Acknowledgements.left(out), List.of());
  }

  static void multicast() throws Exception {
    String in = Env.name("camel-multi.in");
    List<String> outs = List.of(Env.name("camel-multi.a"), Env.name("camel-multi.b"), Env.name("camel-multi.c"));
    AtomicInteger tries = new AtomicInteger();
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            errorHandler(noErrorHandler());
            from("jms:queue:" + in).to("jms:queue:" + outs.get(0)).to("jms:queue:" + outs.get(1)).process(exchange -> {
              if (tries.incrementAndGet() == 1) {
                throw new IllegalStateException("between two sends");
              }
            }).to("jms:queue:" + outs.get(2));
          }
        }, transacted(Env.factory(IMPATIENT)));
        Client client = Client.auto()) {
      client.sendNumbers(client.session.createQueue(in), 0, 1);
      Check.equal("the last", Client.text(client.receiveOne(client.session.createQueue(outs.get(2)))), "0");
    }
    Check.equal("the first", Acknowledgements.left(outs.get(0)), List.of("0"));
    Check.equal("the second", Acknowledgements.left(outs.get(1)), List.of("0"));
  }

  /** With a transaction manager and the route's own policy, over a pool, as most people set it up. */
  static void policy() throws Exception {
    String in = Env.name("camel-policy.in");
    String out = Env.name("camel-policy.out");
    JmsPoolConnectionFactory pool = new JmsPoolConnectionFactory();
    pool.setConnectionFactory(Env.factory(IMPATIENT));
    JmsTransactionManager manager = new JmsTransactionManager(pool);
    JmsComponent jms = JmsComponent.jmsComponentTransacted(pool, manager);
    AtomicInteger tries = new AtomicInteger();
    DefaultCamelContext camel = new DefaultCamelContext();
    SpringTransactionPolicy required = new SpringTransactionPolicy(manager);
    required.setPropagationBehaviorName("PROPAGATION_REQUIRED");
    camel.getRegistry().bind("PROPAGATION_REQUIRED", required);
    camel.addComponent("jms", jms);
    camel.addRoutes(new RouteBuilder() {
      @Override
      public void configure() {
        from("jms:queue:" + in).transacted().to("jms:queue:" + out).process(exchange -> {
          if (tries.incrementAndGet() == 1) {
            throw new IllegalStateException("the first try fails");
          }
        });
      }
    });
    camel.start();
    try (Client client = Client.auto()) {
      client.sendNumbers(client.session.createQueue(in), 0, 5);
      Check.equal("out", Client.texts(client.session.createConsumer(client.session.createQueue(out)), 5).size(), 5);
    } finally {
      camel.stop();
      pool.stop();
    }
    Check.equal("tries", tries.get(), 6);
    Check.equal("left", Acknowledgements.left(in), List.of());
    Check.equal("more", Acknowledgements.left(out), List.of());
  }

  /** What a route handles itself is committed: the message goes to its error queue and is not tried again. */
  static void handled() throws Exception {
    String in = Env.name("camel-handled.in");
    String errors = Env.name("camel-handled.errors");
    AtomicInteger tries = new AtomicInteger();
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            onException(IllegalStateException.class).handled(true).to("jms:queue:" + errors);
            from("jms:queue:" + in).process(exchange -> {
              tries.incrementAndGet();
              throw new IllegalStateException("handled");
            });
          }
        }, transacted(Env.factory(IMPATIENT)));
        Client client = Client.auto()) {
      client.sendNumbers(client.session.createQueue(in), 0, 1);
      Check.equal("error queue", Client.text(client.receiveOne(client.session.createQueue(errors))), "0");
    }
    Check.equal("tries", tries.get(), 1);
    Check.equal("left", Acknowledgements.left(in), List.of());
  }

  static void durable() throws Exception {
    String topic = Env.name("camel-durable.topic");
    String out = Env.name("camel-durable.out");
    AtomicInteger tries = new AtomicInteger();
    SingleConnectionFactory one = new SingleConnectionFactory(Env.factory(IMPATIENT)); // a client id is one connection's
    one.setClientId(Env.name("camel-durable"));
    RouteBuilder routes = new RouteBuilder() {
      @Override
      public void configure() {
        errorHandler(noErrorHandler());
        from("jms:topic:" + topic + "?durableSubscriptionName=camel&clientId=" + Env.name("camel-durable")).to("jms:queue:" + out).process(exchange -> {
          if (tries.incrementAndGet() == 1) {
            throw new IllegalStateException("the first try fails");
          }
        });
      }
    };
    try (Client client = Client.auto()) {
      ActiveMQConnectionFactory named = Env.factory("");
      named.setClientID(Env.name("camel-durable"));
      try (Client subscriber = new Client(named, jakarta.jms.Session.AUTO_ACKNOWLEDGE)) {
        subscriber.session.createDurableSubscriber(subscriber.session.createTopic(topic), "camel").close();
      }
      client.sendNumbers(client.session.createTopic(topic), 0, 3);
      try (DefaultCamelContext camel = camel(routes, transacted(one))) {
        Check.equal("out", Client.texts(client.session.createConsumer(client.session.createQueue(out)), 3), Client.numbers(0, 3));
      } finally {
        one.destroy();
      }
    }
    Check.equal("tries", tries.get(), 4);
  }

  /** Redelivers at once. */
  private static final String IMPATIENT = "jms.redeliveryPolicy.initialRedeliveryDelay=0&jms.redeliveryPolicy.redeliveryDelay=0";

  private static JmsComponent transacted(ConnectionFactory factory) {
    JmsComponent jms = JmsComponent.jmsComponentTransacted(factory, new JmsTransactionManager(factory));
    jms.setCacheLevelName("CACHE_CONSUMER"); // or each try would be a connection of its own
    return jms;
  }

  private static DefaultCamelContext camel(RouteBuilder routes, JmsComponent jms) throws Exception {
    DefaultCamelContext camel = new DefaultCamelContext();
    camel.addComponent("jms", jms);
    camel.addRoutes(routes);
    camel.start();
    return camel;
  }
}
