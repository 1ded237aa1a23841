import jakarta.jms.*;
import org.apache.activemq.ActiveMQConnectionFactory;

/** Sends an order in a transaction and waits for the Python service's answer. Nothing in it knows of Godwit but the URL. */
public class Tour {
    public static void main(String[] args) throws Exception {
        String url = args.length > 0 ? args[0] : "failover:(tcp://127.0.0.1:61616)";
        try (Connection connection = new ActiveMQConnectionFactory(url).createConnection()) {
            connection.start();
            Session session = connection.createSession(true, Session.SESSION_TRANSACTED);
            Queue answers = session.createTemporaryQueue();
            TextMessage order = session.createTextMessage("3 pallets of oats");
            order.setStringProperty("customer", "C-17");
            order.setJMSReplyTo(answers);
            session.createProducer(session.createQueue("orders")).send(order);
            session.commit();
            System.out.println("sent      " + order.getText() + " as " + order.getJMSMessageID());
            Message answer = session.createConsumer(answers).receive(30_000);
            session.commit();
            System.out.println("answered  " + (answer == null ? "nothing: is tour.py running?" : answer.getBody(String.class)));
        }
    }
}
