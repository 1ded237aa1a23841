import java.util.ArrayList;
import java.util.List;
import org.apache.activemq.broker.region.DestinationInterceptor;
import org.apache.activemq.broker.region.virtual.CompositeQueue;
import org.apache.activemq.broker.region.virtual.CompositeTopic;
import org.apache.activemq.broker.region.virtual.FilteredDestination;
import org.apache.activemq.broker.region.virtual.MirroredQueue;
import org.apache.activemq.broker.region.virtual.VirtualDestination;
import org.apache.activemq.broker.region.virtual.VirtualDestinationInterceptor;
import org.apache.activemq.broker.region.virtual.VirtualTopic;
import org.apache.activemq.command.ActiveMQDestination;

/** What routes_test.go configures of Godwit. */
final class Routes {
  static DestinationInterceptor[] all() throws Exception {
    List<VirtualDestination> all = new ArrayList<>();
    all.add(topic("VirtualTopic.>", "Consumer.*.", ""));
    VirtualTopic aware = topic("VS.>", "C.*.", "");
    aware.setSelectorAware(true);
    all.add(aware);
    VirtualTopic hidden = topic("VK.>", "K.*.", "");
    hidden.setSetOriginalDestination(false);
    all.add(hidden);
    all.add(topic("VP.>", "", ".copy"));
    all.add(queue("CQ", true, to("CQ.a", null), to("topic://CQ.t", null)));
    all.add(queue("CH", false, to("CH.a", null)));
    CompositeQueue filtered = queue("CF", true, to("CF.a", "n = 1"), to("topic://CF.t", "n > 1"));
    filtered.setSendWhenNotMatched(true);
    all.add(filtered);
    all.add(queue("CG", true, to("CG.a", "n = 1")));
    all.add(queue("CW.>", true, to("CWa", null)));
    all.add(queue("CV", true, to("topic://VirtualTopic.CV", null)));
    CompositeTopic composite = new CompositeTopic();
    composite.setName("CT");
    composite.setForwardOnly(false);
    composite.setForwardTo(List.of(to("CT.a", null)));
    all.add(composite);
    VirtualDestinationInterceptor virtual = new VirtualDestinationInterceptor();
    virtual.setVirtualDestinations(all.toArray(new VirtualDestination[0]));
    MirroredQueue mirror = new MirroredQueue();
    mirror.setPrefix("M.");
    mirror.setPostfix("");
    return new DestinationInterceptor[] {virtual, mirror};
  }

  private static VirtualTopic topic(String name, String prefix, String postfix) {
    VirtualTopic topic = new VirtualTopic();
    topic.setName(name);
    topic.setPrefix(prefix);
    topic.setPostfix(postfix);
    return topic;
  }

  private static CompositeQueue queue(String name, boolean forwardOnly, Object... to) {
    CompositeQueue queue = new CompositeQueue();
    queue.setName(name);
    queue.setForwardOnly(forwardOnly);
    queue.setForwardTo(List.of(to));
    return queue;
  }

  private static Object to(String name, String selector) throws Exception {
    ActiveMQDestination destination = ActiveMQDestination.createDestination(name, ActiveMQDestination.QUEUE_TYPE);
    if (selector == null) {
      return destination;
    }
    FilteredDestination filtered = new FilteredDestination();
    filtered.setDestination(destination);
    filtered.setSelector(selector);
    return filtered;
  }
}
