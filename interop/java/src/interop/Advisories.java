package interop;

import jakarta.jms.DeliveryMode;
import jakarta.jms.Destination;
import jakarta.jms.JMSException;
import jakarta.jms.MapMessage;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.MessageProducer;
import jakarta.jms.Queue;
import jakarta.jms.Session;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TextMessage;
import jakarta.jms.Topic;
import org.apache.activemq.advisory.AdvisorySupport;
import org.apache.activemq.command.ActiveMQDestination;
import org.apache.activemq.command.ActiveMQMessage;
import org.apache.activemq.command.ActiveMQQueue;
import org.apache.activemq.command.ActiveMQTopic;
import org.apache.activemq.command.ConnectionInfo;
import org.apache.activemq.command.ConsumerInfo;
import org.apache.activemq.command.DataStructure;
import org.apache.activemq.command.DestinationInfo;
import org.apache.activemq.command.ProducerInfo;
import org.apache.activemq.command.RemoveInfo;

/** Advisories as a Java application finds them, by AdvisorySupport, and questions to the statistics plugin. */
final class Advisories {
  static void addTo(Suite suite) {
    suite.add("connection", Advisories::connection);
    suite.add("consumer", Advisories::consumer);
    suite.add("producer", Advisories::producer);
    suite.add("destination", Advisories::destination);
    suite.add("dead-letter", Advisories::deadLetter);
    suite.add("expired", Advisories::expired);
    suite.add("no-consumer", Advisories::noConsumer);
    suite.add("full", Advisories::full);
    suite.add("messages", Advisories::messages);
    suite.add("discarded", Advisories::discarded);
    suite.add("newcomer", Advisories::newcomer);
    suite.add("statistics-broker", Advisories::statisticsBroker);
    suite.add("statistics-destination", Advisories::statisticsDestination);
    suite.add("statistics-subscription", Advisories::statisticsSubscription);
  }

  /** What an advisory is about; the origin is in all of them. */
  private static <T> T about(Class<T> type, Message advisory) throws Exception {
    Check.equal("type", advisory.getJMSType(), AdvisorySupport.ADIVSORY_MESSAGE_TYPE);
    for (String name : new String[] {"originBrokerId", "originBrokerName", "originBrokerURL"}) {
      Check.that(name + " is missing", advisory.getStringProperty(name) != null);
    }
    DataStructure data = ((ActiveMQMessage) advisory).getDataStructure();
    Check.that("about " + data + ", want a " + type.getSimpleName(), type.isInstance(data));
    return type.cast(data);
  }

  private static MessageConsumer watch(Client watcher, Destination topic) throws Exception {
    return watcher.session.createConsumer(topic);
  }

  private static ActiveMQDestination queue(String name) {
    return new ActiveMQQueue(Env.name(name));
  }

  static void connection() throws Exception {
    try (Client watcher = Client.auto()) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getConnectionAdvisoryTopic());
      String id = Env.name("advised");
      String connection;
      Client other = new Client(Env.factory("jms.clientID=" + id), Session.AUTO_ACKNOWLEDGE);
      connection = other.connection.getConnectionInfo().getConnectionId().getValue();
      ConnectionInfo come;
      do { // those of others are there too
        come = about(ConnectionInfo.class, Client.receive(advisories));
      } while (!connection.equals(come.getConnectionId().getValue()));
      Check.equal("client id", come.getClientId(), id);
      Check.that("the address is missing", come.getClientIp().startsWith("tcp://"));
      other.close();
      Message gone;
      do {
        gone = Client.receive(advisories);
      } while (!(((ActiveMQMessage) gone).getDataStructure() instanceof RemoveInfo info && connection.equals(info.getObjectId().toString())));
    }
  }

  static void consumer() throws Exception {
    ActiveMQDestination queue = queue("advised.consumer");
    try (Client watcher = Client.auto(); Client other = Client.auto()) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getConsumerAdvisoryTopic(queue));
      MessageConsumer consumer = other.session.createConsumer(queue, "a = 'b'");
      Message message = Client.receive(advisories);
      ConsumerInfo come = about(ConsumerInfo.class, message);
      Check.equal("destination", come.getDestination(), queue);
      Check.equal("selector", come.getSelector(), "a = 'b'");
      Check.equal("prefetch", come.getPrefetchSize(), 1000);
      Check.equal("connection", come.getConsumerId().getConnectionId(), other.connection.getConnectionInfo().getConnectionId().getValue());
      Check.equal("count", message.getIntProperty("consumerCount"), 1);
      consumer.close();
      message = Client.receive(advisories);
      Check.equal("gone", about(RemoveInfo.class, message).getObjectId(), come.getConsumerId());
      Check.equal("count", message.getIntProperty("consumerCount"), 0);
    }
  }

  static void producer() throws Exception {
    ActiveMQDestination queue = queue("advised.producer");
    try (Client watcher = Client.auto(); Client other = Client.auto()) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getProducerAdvisoryTopic((Destination) queue));
      MessageProducer producer = other.session.createProducer(queue);
      Message message = Client.receive(advisories);
      ProducerInfo come = about(ProducerInfo.class, message);
      Check.equal("destination", come.getDestination(), queue);
      Check.equal("count", message.getIntProperty("producerCount"), 1);
      producer.close();
      message = Client.receive(advisories);
      Check.equal("gone", about(RemoveInfo.class, message).getObjectId(), come.getProducerId());
      Check.equal("count", message.getIntProperty("producerCount"), 0);
    }
  }

  static void destination() throws Exception {
    try (Client watcher = Client.auto(); Client other = Client.auto()) {
      TemporaryQueue queue = other.session.createTemporaryQueue();
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getDestinationAdvisoryTopic((ActiveMQDestination) queue));
      DestinationInfo info;
      do { // those that were there before come first
        info = about(DestinationInfo.class, Client.receive(advisories));
      } while (!info.getDestination().equals(queue));
      Check.that("it was there already", info.isAddOperation());
      queue.delete();
      do {
        info = about(DestinationInfo.class, Client.receive(advisories));
      } while (!info.getDestination().equals(queue));
      Check.that("it is gone", info.isRemoveOperation());
    }
  }

  static void deadLetter() throws Exception {
    ActiveMQDestination queue = queue("advised.poison");
    try (Client watcher = Client.auto(); Client other = new Client(Env.factory("jms.redeliveryPolicy.maximumRedeliveries=0"), Session.SESSION_TRANSACTED)) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getMessageDLQdAdvisoryTopic(queue));
      watcher.sendNumbers(queue, 1, 2);
      MessageConsumer consumer = other.session.createConsumer(queue);
      Message poison = Client.receive(consumer);
      other.session.rollback();
      consumer.receive(Client.NOTHING); // which lets the client give it up
      ActiveMQMessage dead = about(ActiveMQMessage.class, Client.receive(advisories));
      Check.equal("message", dead.getJMSMessageID(), poison.getJMSMessageID());
      Check.equal("destination", dead.getDestination(), queue);
    }
  }

  static void expired() throws Exception {
    ActiveMQDestination queue = queue("advised.expired");
    try (Client watcher = Client.auto()) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getExpiredMessageTopic((Destination) queue));
      MessageProducer producer = watcher.session.createProducer(queue);
      producer.setTimeToLive(1);
      TextMessage message = watcher.session.createTextMessage("late");
      message.setStringProperty("kept", "yes");
      producer.send(message);
      Message advisory = Client.receive(advisories);
      ActiveMQMessage expired = about(ActiveMQMessage.class, advisory);
      Check.equal("message", expired.getJMSMessageID(), message.getJMSMessageID());
      Check.equal("original id", advisory.getStringProperty("orignalMessageId"), message.getJMSMessageID());
      Check.equal("body", expired.getContent(), null);
      Check.equal("property", expired.getProperty("kept"), "yes");
    }
  }

  static void noConsumer() throws Exception {
    ActiveMQDestination queue = queue("advised.alone");
    try (Client watcher = Client.auto()) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getNoQueueConsumersAdvisoryTopic((Destination) queue));
      MessageProducer producer = watcher.session.createProducer(queue);
      producer.send(watcher.session.createTextMessage("persistent messages wait for somebody"));
      producer.setDeliveryMode(DeliveryMode.NON_PERSISTENT);
      producer.send(watcher.session.createTextMessage("alone"));
      Check.equal("text", Client.text(Client.receive(advisories)), "alone");
    }
  }

  /** A queue that is full says so, and names the producer that it holds up; a consumer with a full window is slow. */
  static void full() throws Exception {
    ActiveMQDestination queue = new ActiveMQQueue("full." + Env.name("advised"));
    try (Client watcher = Client.auto(); Client other = Client.auto(); Client slow = new Client(Env.factory("jms.prefetchPolicy.queuePrefetch=1"), Session.CLIENT_ACKNOWLEDGE)) {
      MessageConsumer full = watch(watcher, AdvisorySupport.getFullAdvisoryTopic((Destination) queue));
      MessageConsumer fast = watch(watcher, AdvisorySupport.getFastProducerAdvisoryTopic((Destination) queue));
      MessageConsumer slowest = watch(watcher, AdvisorySupport.getSlowConsumerAdvisoryTopic((Destination) queue));
      slow.session.createConsumer(queue);
      MessageProducer producer = other.session.createProducer(queue);
      for (int i = 0; i < 2; i++) {
        producer.send(other.session.createTextMessage("it has room"));
      }
      Check.equal("nothing yet", full.receive(Client.NOTHING), null);
      try {
        producer.send(other.session.createTextMessage("it has none"));
        throw new AssertionError("a full queue took a message");
      } catch (JMSException e) {
        Check.that("it does not say what is full: " + e, e.getMessage().contains("is full"));
      }
      Message advisory = Client.receive(full);
      Check.equal("type", advisory.getJMSType(), AdvisorySupport.ADIVSORY_MESSAGE_TYPE);
      Check.that("what is used is missing", advisory.getStringProperty(AdvisorySupport.MSG_PROPERTY_USAGE_NAME) != null);
      Check.that("usage is " + advisory.getLongProperty("usageCount"), advisory.getLongProperty("usageCount") > 0);
      Message held = Client.receive(fast);
      ProducerInfo who = about(ProducerInfo.class, held);
      Check.equal("connection", who.getProducerId().getConnectionId(), other.connection.getConnectionInfo().getConnectionId().getValue());
      Check.equal("producer", held.getStringProperty(AdvisorySupport.MSG_PROPERTY_PRODUCER_ID), who.getProducerId().toString());
      ConsumerInfo behind = about(ConsumerInfo.class, Client.receive(slowest));
      Check.equal("consumer's connection", behind.getConsumerId().getConnectionId(), slow.connection.getConnectionInfo().getConnectionId().getValue());
    }
  }

  /** What happens to a message, with its body, which the broker may have to read back. */
  static void messages() throws Exception {
    ActiveMQDestination queue = new ActiveMQQueue("told." + Env.name("advised"));
    try (Client watcher = Client.auto(); Client other = Client.auto()) {
      MessageConsumer delivered = watch(watcher, AdvisorySupport.getMessageDeliveredAdvisoryTopic(queue));
      MessageConsumer dispatched = watch(watcher, AdvisorySupport.getMessageDispatchedAdvisoryTopic(queue));
      MessageConsumer consumed = watch(watcher, AdvisorySupport.getMessageConsumedAdvisoryTopic((Destination) queue));
      MessageConsumer consumer = other.session.createConsumer(queue);
      other.session.createProducer(queue).send(other.session.createTextMessage("told"));
      Message got = Client.receive(consumer);
      for (MessageConsumer advisories : new MessageConsumer[] {delivered, dispatched, consumed}) {
        Message advisory = Client.receive(advisories);
        ActiveMQMessage inner = about(ActiveMQMessage.class, advisory);
        Check.equal("message", inner.getJMSMessageID(), got.getJMSMessageID());
        Check.equal("body", Client.text(inner), "told");
        Check.equal("original id", advisory.getStringProperty("orignalMessageId"), got.getJMSMessageID());
      }
    }
  }

  /** A subscriber that does not keep up loses messages, and whoever watches hears of each. */
  static void discarded() throws Exception {
    ActiveMQDestination topic = new ActiveMQTopic("told." + Env.name("advised"));
    try (Client watcher = Client.auto(); Client slow = new Client(Env.factory("jms.prefetchPolicy.topicPrefetch=1"), Session.CLIENT_ACKNOWLEDGE)) {
      MessageConsumer advisories = watch(watcher, AdvisorySupport.getMessageDiscardedAdvisoryTopic(topic));
      MessageConsumer consumer = slow.session.createConsumer(topic);
      watcher.sendNumbers(topic, 0, 3);
      Client.receive(consumer);
      for (int i = 1; i < 3; i++) {
        Message advisory = Client.receive(advisories);
        about(ActiveMQMessage.class, advisory);
        Check.equal("so far", advisory.getIntProperty(AdvisorySupport.MSG_PROPERTY_DISCARDED_COUNT), i);
        Check.that("consumer is missing", advisory.getStringProperty(AdvisorySupport.MSG_PROPERTY_CONSUMER_ID) != null);
      }
    }
  }

  static void newcomer() throws Exception {
    ActiveMQDestination queue = queue("advised.before");
    try (Client watcher = Client.auto(); Client other = Client.auto()) {
      other.session.createConsumer(queue);
      other.session.createProducer(queue);
      Check.equal("consumer", about(ConsumerInfo.class, Client.receive(watch(watcher, AdvisorySupport.getConsumerAdvisoryTopic(queue)))).getDestination(), queue);
      Check.equal("producer", about(ProducerInfo.class, Client.receive(watch(watcher, AdvisorySupport.getProducerAdvisoryTopic((Destination) queue)))).getDestination(), queue);
    }
  }

  /** The answer to a question. */
  private static MapMessage ask(Client client, Destination where) throws Exception {
    TemporaryQueue replies = client.session.createTemporaryQueue();
    MessageConsumer consumer = client.session.createConsumer(replies);
    Message question = client.session.createMessage();
    question.setJMSReplyTo(replies);
    question.setJMSCorrelationID("why");
    MessageProducer producer = client.session.createProducer(null);
    producer.send(where, question);
    Message answer = Client.receive(consumer);
    Check.that("got " + answer + ", want a MapMessage", answer instanceof MapMessage);
    consumer.close();
    return (MapMessage) answer;
  }

  static void statisticsBroker() throws Exception {
    try (Client client = Client.auto()) {
      MapMessage got = ask(client, client.session.createQueue("ActiveMQ.Statistics.Broker"));
      Check.equal("correlation", got.getJMSCorrelationID(), "why");
      for (String key : new String[] {"brokerName", "brokerId", "dataDirectory", "vm", "openwire", "stomp", "ssl", "stomp+ssl"}) {
        Check.that(key + " is " + got.getObject(key), got.getObject(key) instanceof String);
      }
      for (String key : new String[] {"size", "enqueueCount", "dequeueCount", "dispatchCount", "expiredCount", "inflightCount", "consumerCount", "producerCount", "messagesCached",
          "averageMessageSize", "memoryLimit", "memoryUsage", "storeLimit", "storeUsage", "tempLimit", "tempUsage"}) {
        Check.that(key + " is " + got.getObject(key), got.getObject(key) instanceof Long);
      }
      for (String key : new String[] {"memoryPercentUsage", "storePercentUsage", "tempPercentUsage"}) {
        Check.that(key + " is " + got.getObject(key), got.getObject(key) instanceof Integer);
      }
      for (String key : new String[] {"averageEnqueueTime", "maxEnqueueTime", "minEnqueueTime"}) {
        Check.that(key + " is " + got.getObject(key), got.getObject(key) instanceof Double);
      }
    }
  }

  static void statisticsDestination() throws Exception {
    try (Client client = Client.auto()) {
      Queue queue = client.session.createQueue(Env.name("statistics"));
      client.sendNumbers(queue, 0, 3);
      Client.receive(client.session.createConsumer(queue));
      MapMessage got = ask(client, client.session.createQueue("ActiveMQ.Statistics.Destination." + queue.getQueueName()));
      Check.equal("name", got.getString("destinationName"), "queue://" + queue.getQueueName());
      Check.equal("enqueued", got.getLong("enqueueCount"), 3L);
      Check.equal("dispatched", got.getLong("dispatchCount"), 3L);
      Check.equal("consumers", got.getLong("consumerCount"), 1L);
    }
  }

  static void statisticsSubscription() throws Exception {
    try (Client client = Client.auto()) {
      Topic topic = client.session.createTopic(Env.name("statistics.topic"));
      client.session.createConsumer(topic, "x = 1");
      TemporaryQueue replies = client.session.createTemporaryQueue();
      MessageConsumer consumer = client.session.createConsumer(replies);
      Message question = client.session.createMessage();
      question.setJMSReplyTo(replies);
      client.session.createProducer(null).send(client.session.createQueue("ActiveMQ.Statistics.Subscription"), question);
      MapMessage got;
      do {
        got = (MapMessage) Client.receive(consumer);
      } while (!topic.getTopicName().equals(got.getString("destinationName")));
      Check.equal("selector", got.getString("selector"), "x = 1");
      Check.equal("prefetch", got.getInt("prefetchSize"), 32767);
      Check.equal("client", got.getString("clientId"), client.connection.getClientID());
    }
  }
}
