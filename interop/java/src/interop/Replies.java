package interop;

import jakarta.jms.JMSException;
import jakarta.jms.Message;
import jakarta.jms.MessageConsumer;
import jakarta.jms.Queue;
import jakarta.jms.TemporaryQueue;
import jakarta.jms.TemporaryTopic;
import jakarta.jms.TextMessage;

/** Temporary destinations and what is done with them. */
final class Replies {
  static void addTo(Suite suite) {
    suite.add("request-reply", Replies::requestReply);
    suite.add("temporary-topic", Replies::temporaryTopic);
    suite.add("temporary-ends-with-connection", Replies::endsWithConnection);
    suite.add("temporary-belongs-to-connection", Replies::belongsToConnection);
  }

  static void requestReply() throws Exception {
    try (Client asker = Client.auto(); Client server = Client.auto()) {
      Queue queue = asker.session.createQueue(Env.name("requests"));
      TemporaryQueue replies = asker.session.createTemporaryQueue();
      MessageConsumer answers = asker.session.createConsumer(replies);
      MessageConsumer requests = server.session.createConsumer(queue);
      for (int i = 0; i < 20; i++) {
        TextMessage request = asker.session.createTextMessage("ask " + i);
        request.setJMSReplyTo(replies);
        asker.send(queue, request);
        Message got = Client.receive(requests);
        Message reply = server.session.createTextMessage("answer to " + Client.text(got));
        reply.setJMSCorrelationID(got.getJMSMessageID());
        server.send(got.getJMSReplyTo(), reply);
        Message answer = Client.receive(answers);
        Check.equal("answer", Client.text(answer), "answer to ask " + i);
        Check.equal("correlation", answer.getJMSCorrelationID(), request.getJMSMessageID());
      }
    }
  }

  static void temporaryTopic() throws Exception {
    try (Client owner = Client.auto(); Client other = Client.auto()) {
      TemporaryTopic topic = owner.session.createTemporaryTopic();
      MessageConsumer consumer = owner.session.createConsumer(topic);
      other.sendNumbers(topic, 0, 3);
      Check.equal("texts", Client.texts(consumer, 3), Client.numbers(0, 3));
    }
  }

  static void endsWithConnection() throws Exception {
    try (Client other = Client.auto()) {
      TemporaryQueue gone;
      try (Client owner = Client.auto()) {
        gone = owner.session.createTemporaryQueue();
        other.sendNumbers(gone, 0, 1);
      }
      // until the advisory that tells the other client arrives only the broker can refuse
      Check.thrown(JMSException.class, () -> other.sendNumbers(gone, 1, 2));
    }
  }

  static void belongsToConnection() throws Exception {
    try (Client owner = Client.auto(); Client other = Client.auto()) {
      TemporaryQueue queue = owner.session.createTemporaryQueue();
      Check.thrown(JMSException.class, () -> other.session.createConsumer(queue));
      MessageConsumer consumer = owner.session.createConsumer(queue);
      Check.thrown(JMSException.class, queue::delete); // in use
      consumer.close();
      queue.delete();
    }
  }
}
