package interop;

import jakarta.jms.Connection;
import jakarta.jms.ConnectionFactory;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageListener;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TextMessage;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import java.util.function.BooleanSupplier;
import org.apache.camel.builder.RouteBuilder;
import org.apache.camel.component.jms.JmsComponent;
import org.apache.camel.impl.DefaultCamelContext;
import org.messaginghub.pooled.jms.JmsPoolConnectionFactory;
import org.springframework.jms.core.JmsTemplate;
import org.springframework.jms.listener.DefaultMessageListenerContainer;

/** The libraries that services put between themselves and JMS. */
final class Frameworks {
  static void addTo(Suite suite) {
    suite.add("spring-template", Frameworks::springTemplate);
    suite.add("spring-template-request-reply", Frameworks::springRequestReply);
    suite.add("spring-container", Frameworks::springContainer);
    suite.add("spring-container-redelivers", Frameworks::springContainerRedelivers);
    suite.add("spring-container-durable", Frameworks::springContainerDurable);
    suite.add("pool", Frameworks::pool);
    suite.add("camel-routes", Frameworks::camelRoutes);
    suite.add("camel-request-reply", Frameworks::camelRequestReply);
  }

  static void springTemplate() {
    JmsTemplate template = template(Env.factory("")); // a new connection for each call: the worst of habits
    String name = Env.name("spring");
    for (int i = 0; i < 10; i++) {
      template.convertAndSend(name, "hello " + i);
    }
    Check.equal("browsed", template.browse(name, (session, browser) -> java.util.Collections.list(browser.getEnumeration()).size()), 10);
    for (int i = 0; i < 10; i++) {
      Check.equal("received", template.receiveAndConvert(name), "hello " + i);
    }
    template.setReceiveTimeout(Client.NOTHING);
    Check.equal("received when empty", template.receiveAndConvert(name), null);
  }

  private static JmsTemplate template(ConnectionFactory factory) {
    JmsTemplate template = new JmsTemplate(factory);
    template.setReceiveTimeout(Client.SOON);
    return template;
  }

  static void springRequestReply() throws Exception {
    String name = Env.name("spring-requests");
    DefaultMessageListenerContainer container = container(name, false, null);
    JmsTemplate replier = template(Env.factory(""));
    container.setMessageListener((MessageListener) request -> replier.execute((Session session) -> {
      MessageProducer producer = session.createProducer(request.getJMSReplyTo());
      TextMessage reply = session.createTextMessage("answer to " + Client.text(request));
      reply.setJMSCorrelationID(request.getJMSMessageID());
      producer.send(reply);
      return null;
    }));
    try (Running running = new Running(container)) {
      Message answer = template(Env.factory("")).sendAndReceive(name, session -> session.createTextMessage("ask"));
      Check.that("no answer", answer != null);
      Check.equal("answer", Client.text(answer), "answer to ask");
    }
  }

  private static DefaultMessageListenerContainer container(String name, boolean topic, String clientId) {
    DefaultMessageListenerContainer container = new DefaultMessageListenerContainer();
    org.apache.activemq.ActiveMQConnectionFactory factory = Transactions.impatient(3);
    factory.setClientID(clientId);
    container.setConnectionFactory(factory);
    container.setDestinationName(name);
    container.setPubSubDomain(topic);
    container.setReceiveTimeout(500);
    container.setRecoveryInterval(200);
    return container;
  }

  /** A container while it runs. */
  private record Running(DefaultMessageListenerContainer container) implements AutoCloseable {
    Running {
      container.afterPropertiesSet();
      container.start();
    }

    @Override
    public void close() {
      container.destroy();
    }
  }

  static void springContainer() throws Exception {
    String name = Env.name("spring-container");
    Set<String> seen = ConcurrentHashMap.newKeySet();
    DefaultMessageListenerContainer container = container(name, false, null);
    container.setSessionTransacted(true);
    container.setConcurrentConsumers(2);
    container.setMaxConcurrentConsumers(4);
    container.setMessageListener((MessageListener) message -> seen.add(textOf(message)));
    try (Client sender = Client.auto(); Running running = new Running(container)) {
      sender.sendNumbers(sender.session.createQueue(name), 0, 500);
      await("500 messages", () -> seen.size() == 500);
    }
    Check.equal("left", Acknowledgements.left(name), List.of());
  }

  static void springContainerRedelivers() throws Exception {
    String name = Env.name("spring-redelivers");
    LinkedBlockingQueue<String> seen = new LinkedBlockingQueue<>();
    DefaultMessageListenerContainer container = container(name, false, null);
    container.setSessionTransacted(true);
    container.setMessageListener((MessageListener) message -> {
      seen.add(textOf(message) + (redelivered(message) ? "!" : ""));
      if (!redelivered(message)) {
        throw new IllegalStateException("the listener's first try fails by intent");
      }
    });
    container.setErrorHandler(failure -> { });
    try (Client sender = Client.auto(); Running running = new Running(container)) {
      sender.sendNumbers(sender.session.createQueue(name), 0, 1);
      Check.equal("first", seen.poll(Client.SOON, TimeUnit.MILLISECONDS), "0");
      Check.equal("second", seen.poll(Client.SOON, TimeUnit.MILLISECONDS), "0!");
    }
    Check.equal("left", Acknowledgements.left(name), List.of());
  }

  static void springContainerDurable() throws Exception {
    String name = Env.name("spring-durable");
    LinkedBlockingQueue<String> seen = new LinkedBlockingQueue<>();
    for (int from = 0; from <= 10; from += 10) { // the second time the backlog is there first
      DefaultMessageListenerContainer container = container(name, true, name);
      container.setSubscriptionDurable(true);
      container.setDurableSubscriptionName("spring");
      container.setMessageListener((MessageListener) message -> seen.add(textOf(message)));
      try (Client sender = Client.auto(); Running running = new Running(container)) {
        for (int i = from; i < 10; i++) {
          await("the subscription", container::isRegisteredWithDestination);
          sender.sendNumbers(sender.session.createTopic(name), i, i + 1);
        }
        for (int i = from; i < from + 10; i++) {
          Check.equal("text", seen.poll(Client.SOON, TimeUnit.MILLISECONDS), Integer.toString(i));
        }
      }
      try (Client sender = Client.auto()) {
        sender.sendNumbers(sender.session.createTopic(name), from + 10, from + 20);
      }
    }
  }

  private static String textOf(Message message) {
    try {
      return Client.text(message);
    } catch (jakarta.jms.JMSException e) {
      throw new IllegalStateException(e);
    }
  }

  private static boolean redelivered(Message message) {
    try {
      return message.getJMSRedelivered();
    } catch (jakarta.jms.JMSException e) {
      throw new IllegalStateException(e);
    }
  }

  private static void await(String what, BooleanSupplier condition) throws InterruptedException {
    long until = System.nanoTime() + TimeUnit.MILLISECONDS.toNanos(Client.SOON);
    while (!condition.getAsBoolean()) {
      Check.that("still waiting for " + what, System.nanoTime() < until);
      Thread.sleep(10);
    }
  }

  static void pool() throws Exception {
    JmsPoolConnectionFactory pool = new JmsPoolConnectionFactory();
    pool.setConnectionFactory(Transactions.impatient(6));
    pool.setMaxConnections(2);
    pool.start();
    try {
      String name = Env.name("pool");
      for (int i = 0; i < 100; i++) { // borrowed and returned, as an application does
        try (Connection connection = pool.createConnection()) {
          connection.start();
          Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
          Queue queue = session.createQueue(name);
          session.createProducer(queue).send(session.createTextMessage(Integer.toString(i)));
          session.commit();
          MessageConsumer consumer = session.createConsumer(queue);
          Check.equal("text", Client.text(Client.receive(consumer)), Integer.toString(i));
          if (i % 10 == 0) {
            session.rollback();
            Check.equal("again", Client.text(Client.receive(consumer)), Integer.toString(i));
          }
          session.commit();
          session.close();
        }
      }
      Check.that(pool.getNumConnections() + " connections", pool.getNumConnections() <= 2);
      Check.equal("left", Acknowledgements.left(name), List.of());
    } finally {
      pool.stop();
    }
  }

  static void camelRoutes() throws Exception {
    String in = Env.name("camel.in");
    String out = Env.name("camel.out");
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            from("direct:start").to("jms:queue:" + in);
            from("jms:queue:" + in + "?transacted=true&concurrentConsumers=2").process(e -> e.getMessage().setBody(e.getMessage().getBody(String.class) + " by camel")).to("jms:queue:" + out);
          }
        });
        Client client = Client.auto()) {
      for (int i = 0; i < 50; i++) {
        camel.createProducerTemplate().sendBodyAndHeader("direct:start", Integer.toString(i), "n", i);
      }
      Set<String> got = new TreeSet<>(Client.texts(client.session.createConsumer(client.session.createQueue(out)), 50));
      Set<String> want = new TreeSet<>();
      Client.numbers(0, 50).forEach(n -> want.add(n + " by camel"));
      Check.equal("routed", got, want);
    }
  }

  private static DefaultCamelContext camel(RouteBuilder routes) throws Exception {
    DefaultCamelContext camel = new DefaultCamelContext();
    JmsComponent jms = JmsComponent.jmsComponentAutoAcknowledge(Env.factory(""));
    camel.addComponent("jms", jms);
    camel.addRoutes(routes);
    camel.start();
    return camel;
  }

  static void camelRequestReply() throws Exception {
    String name = Env.name("camel.requests");
    try (DefaultCamelContext camel = camel(new RouteBuilder() {
          @Override
          public void configure() {
            from("jms:queue:" + name).process(e -> e.getMessage().setBody("answer to " + e.getMessage().getBody(String.class)));
          }
        })) {
      for (int i = 0; i < 5; i++) { // the replies come over a temporary queue
        Object answer = camel.createProducerTemplate().requestBody("jms:queue:" + name + "?requestTimeout=10000", "ask " + i);
        Check.equal("answer", answer, "answer to ask " + i);
      }
    }
  }
}
