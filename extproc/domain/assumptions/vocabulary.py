"""The words that may be shown of what somebody else has written: those of which interfaces speak, and the small ones
between them. A word that is not among them may be a name, so it is not shown."""

from typing import Final

_SMALL: Final = """
a about above after again all allowed already also am an and another any anything are as at back be because been
before behind being below between beyond both but by can cannot could did do does done down due during each either
else enough even ever every everything far few first following for from further get give given go goes had has have
having here high higher how however i if in inside instead into is it its itself just kind know known last later least
left less let like long longer low lower made make many may maybe me might minus more most much must my near need
needed needs neither never new next no none nor not nothing now of off old on once one only onto or other others our
out outside over own part per please plus quite rather right same second see seem seems set shall should since small
so some something sometimes soon still such take taken tell than that the their them then there these they thing
things third this those though through till time times to today together told tomorrow too toward twice two three four
five six seven eight nine ten hundred thousand million under unless until up upon us use used using very via was way
we well were what when whenever where whether which while who whole whom whose why will with within without word words
would wrong yes yet you your yours zero don't doesn't isn't aren't can't couldn't didn't hasn't haven't won't wasn't
weren't it's you're day days hour hours minute minutes month months monthly week weeks weekly daily hourly year years
seconds ms millisecond milliseconds am pm utc gmt cst monday tuesday wednesday thursday friday saturday sunday january
february march april june july august september october november december
"""
_OF_INTERFACES: Final = """
abnormal abort aborted accept accepted access account accounts active activity actual add added additional address
admin agent alias allocate allocated allow amount anthropic api app application apply applied args argument arguments
array assistant associated async attempt attempts audio auth authenticate authenticated authentication authorization
authorize authorized auto automatic available avoid await bad balance bandwidth base based batch bearer beta big bill
billing blob block blocked blocks body boolean bound broken buffer budget bug build busy byte bytes cache cached
caching call called caller calls cancel canceled cancelled capability capacity capped cause certificate chance change
changed channel character characters charge charset chat check checked choice choices chunk chunks citation citations
class clear client close closed code codes coding collection column combination come command comment common community
company compatible complete completed completion completions component compressed computed concurrency concurrent
condition config configuration configure configured conflict conflicting connect connected connection connections
console consume consumed contact contain contained contains content contents context continue contract control
conversation convert copy core cost could count counter counts create created creation credential credentials credit
credits current currently custom customer cut data database date debug declared decode default define defined degraded
delay delete deleted delta deny denied deployed deployment deprecated describe description detail detailed details
detect detected developer device different digit dimension direct directory disable disabled disconnect discount
document documentation documents domain done double drop dropped duplicate duration early echo edit effect effort
embedding embeddings empty enable enabled encode encoded encoding end ended endpoint endpoints engine ensure enter
entitled entity entry enum environment equal error errors estimate event events exact exceed exceeded exceeding
exceeds exceptional exception execute execution exhausted exist existing exists expect expected expensive expire
expired expires expiry explain explicit export expose extended extension external extra fail failed failing fails
failure fair fallback false fast feature features feedback fetch field fields file files filter filtered final find
finish finished fix fixed flag flagged flash flow folder forbidden force form format found frame free frequency
frequent frequently full function functions gateway generate generated generation generator gigabytes glm good grammar
grant granted group guard guide handle handled handler hard has hash head header headers health help hidden hint hit
hold host html http https id identical identifier identity ids idle ignore ignored illegal image images immediately
implemented import in include included includes inclusive incomplete incorrect increase increment index indicate
individual inference info information initial inline inner input inputs insert inspect insufficient integer interface
intermediate internal interrupted interval invalid invoke io ip issue item items job join json keep key keys kill
language large larger largest latency latest layer length level levels library license limit limited limiting limits
line link links list lite literal load loaded local locale location lock locked log logged login logit logprob
logprobs lookup loop lost machine main maintenance malformed manage manager map mark match matched matching max
maximal maximum mcp means media mega megabytes memory merchant message messages metadata method methods metric metrics
minimal minimum min missing mode model models moderation modified module monitor mount move multi multimodal multiple
name named names namespace native negative network node nodes normal note notice null number numbers object objects
occur occurred occurs off offline offset omit omitted online open openai operation operations option optional options
order organisation organization origin output outputs overall overflow overload overloaded owner pack package page
pages pair paragraph parallel parameter parameters parent parse parsed parser parsing partial partially parts pass
password past path patience pattern pause pay payload payment peak pending penalty percent percentage perform period
permission permissions permit permitted ping place places plain plan plans platform play point policy poll pool
position positive possible post preference prefix prefill presence present preset prevent preview previous price
prices pricing primary prior priority private pro problem process processed processing product profile progress
prohibited project prompt prompts proper properties property protect protected protocol provide provided provider
proxy public purchase purpose query question queue queued quick quota quotas raise random range rate rated rates ratio
raw reach reached read reading ready real reason reasoning receive received recent recharge recognised recognized
recommend record recover recovery redirect reduce reference refresh refund refusal refuse refused region register
registered regular reject rejected related release reload remain remaining remote remove removed renew repeat repeated
replace reply report reported represent request requested requests require required requirements requires reset resets
resource resources respond response responses restart restore restrict restricted restriction result results resume
retrieve retried retries retry return returned returns review risk role roles root route router row rule rules run
running runs runtime safe safety sample sampling scale scheduled schema scope score search secret section secure
security seed select selected self send sending sensitive sent sequence serve served server servers service services
session shape share shared short show shown shut sign signal signature silent similar simple single size sized sizes
skip slow slower slowly smaller sorry source space special specific specified specify speech speed spend split stack
standard start started starting state statement static status step steps stop stopped stops storage store stored
stream streamed streaming strict string strings strong structure structured style subject submit submitted subscribe
subscribed subscriber subscription succeed succeeded success successful successfully sufficient suffix suggest
suggested summary support supported suspended switch synchronous system table tag tags target task tasks team
temperature temporarily temporary tenant term terms test text texts think thinking thread threshold throttle throttled
throttling tier timed timeout timestamp timezone title tls token tokens tool tools top topic total trace traffic
transfer trial
trigger triggered true truncated try trying turbo turn type types unable unauthenticated unauthorised unauthorized
unavailable uncached unexpected unexplained unified union unique unit units unknown unlimited unpaid unprocessable
unreachable unrecognised unrecognized unsupported update updated upgrade upload uploaded upper upstream uri url usage
user users utf valid validate validated validation value values variable vector vendor verification verified verify
version video view violate violated violation visible visit vision vocabulary volume wait waiting waited warn warning
watch web website weight window windows work worker working works world write writing written zai zhipu bigmodel meta
ratelimit nginx mime thought log logs gzip brotli deflate pdf png jpeg
"""

VOCABULARY: Final = frozenset((_SMALL + _OF_INTERFACES).split())
"""In lower case. A plural in `s` need not be among them."""


def is_known(word: str) -> bool:
    """Whether a word, or a single letter, may be shown, in whatever case it is written."""
    lower = word.lower()
    return len(word) == 1 or lower in VOCABULARY or (lower.endswith("s") and lower[:-1] in VOCABULARY)
