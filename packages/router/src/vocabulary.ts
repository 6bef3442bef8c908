/**
 * Words by which language is told from arguments: English first, then German, French, Spanish and Italian.
 *
 * Strong words are hardly ever an operand. Weak ones may be (`all`, `on`, `a`). Topic words are what people ask about;
 * alone they prove nothing, since targets and files have such names too.
 */
import { wordSet as list, type WordSet } from './word-set.ts';

export const strongWords: WordSet = list(`
the an my your our their his her its this that these those me you we they them him us i'm it's myself yourself ourselves
are was were be been being am has have had having does did doesn't don't can could would should shall might must cannot
what why how when where whose whom which who whether because although though unless until since while
of for from with without into onto about between among through during before after against across around behind beneath
beside besides beyond despite toward towards upon within according via per
and but nor yet so to than as if then thus hence therefore however instead please kindly thanks thank hello hey hi ok okay
not every each both either neither several many much few more most less least such some any enough another other others
very too quite really just only also even still already again ever never always often sometimes maybe perhaps probably
everything something anything nothing everyone someone anyone everybody somebody anybody nobody somewhere anywhere
wants want need needs let's lets could've should've there here
der das ein eine einen einem einer eines und oder aber nicht ist sind wird werden wurde haben habe ich er
wir ihr mich mir dich dir uns euch mein meine meinen meiner dein deine warum wieso wie was wer wo wann welche welcher
welches für vom zum zur bei nach aus auf über unter vor zwischen gegen ohne durch dass daß weil wenn kann
können soll muss müssen bitte alle alles auch noch nur schon sehr sich nochmal einmal
 une est sont était être avoir ont je elle nous vous ils elles mon ma mes ton ta tes notre
votre nos vos ce cet cette ces qui que quoi dont où pourquoi comment quand quel quelle quels quelles pour avec sans dans
 sous chez vers moins très aussi mais peux peut veux faut s'il merci moi toi lui leur leurs
los las una unos unas del al está están estar tengo tiene yo tú él ella nosotros ellos mis tus sus este
esta estos estas ese esa qué quién cómo dónde cuándo cuál cuáles por para sobre entre desde hasta pero porque
muy también más menos puedo puede quiero hay favor todos todas
 gli della dello dei degli delle nel nella un'altra sono è perché quando dove quale questo questa mio mia tuo tua
non anche molto
`);

export const weakWords: WordSet = list(`
a i in on off at by up down out over under all no yes is it he she do or will may make get it's here's one ones
first last next new old same own now today tomorrow yesterday tonight later soon
la el de un en e y o se su si te ja nein doch zu so da man es vom an in um ab il di per tra fra ed
aux des du son lo me per sin con par sur pas plus am im es von ser come die war hat mit den dem tu il au et ne mal mi le les
`);

export const topicWords: WordSet = list(`
ability accident account accurate action actual advice afternoon agenda answer answers api app application apps argument
arguments article articles audience author average bad bakery balance beautiful beginner beginners behavior behaviour
benefits best better big bill birthday blog book books boring boss bottleneck bread breakfast brief briefly budget bug
bugs business button cake calendar call calls candidate car careful cat cats cause causes chapter cheap cheapest cheaper
child children choice city class classes clean cleaner clear clearly clever closest code coffee colleague colleagues
comment comments common company comparison complete complex concept conclusion conference confusing connection consistent
contact contacts contents contract contracts conversation correct cost costs countries country crash crashes crashing
customer customers daily data database day days deadline deal decision deep default definition deployment description
design detail details developer developers diet difference differences different difficult dinner discount doctor document
documents dog dogs doubt draft duplicate duplicates easier easiest easy editor effect email emails employee employees
endpoint engineer error errors essay estimate evening event events everyday evidence exact exactly example examples
exception exercise existing expense expenses expensive explanation extra fact facts failing fails failure failures family
fast faster fastest favourite feature features feedback feelings fewer film films final fine flight flights flow flaky
folder folders food form formal france free french friday friend friendly friends fun function functions funny future game
games garden german germany gift gifts girl goal goals good great greeting groceries grocery group growth guest guests
guide habits handling happy hard headline health healthy heavy help helpful history holiday holidays home hotel hotels
hour hours house huge human idea ideas image images important improvement improvements information input insights
instructions interesting interview introduction invitation invoice invoices issue issues italian item items itinerary
january february march april june july august september october november december jobs joke jokes key keys kid kids kind
kitchen knowledge language languages large larger largest latest launch laws laptop lawyer leads leak leaks lesson lessons
letter letters life limerick line lines list lists little local long longer longest lot love lunch machine mail main
manager manual market marketing mean meaning means measures meeting meetings member members memory menu merge message
messages method methods midnight million minute minutes missing mistake mistakes model models moment monday money month
monthly months morning movie movies multiple museum music name names nearby nearest neighbour neighbours news newsletter
nice night note notes novel numbers office online open opinion option options order orders outline overview page pages
paper papers paragraph paragraphs parameter parameters parents part partner parts party password passwords past patient
people perfect performance person photo photos phrase picture pictures place places plain plan plans point points policy
polite poem poems poetry policies position possible post posts practice presentation pretty price prices privacy problem
problems process product products professional project projects proposal pros public purpose quarter quarterly question
questions quick quickly quiet quote quotes race random readable reason reasons receipt receipts recent recipe recipes
recommendation reference refund regular relevant reminder rent reply report reports request requests requirement
requirements research response responses restaurant restaurants result results resume retry review reviews revenue right
risk risks road role room rooms route rule rules safe safely sales sample saturday savings schedule school screen second
section security sense sentence sentences server servers session shoes short shorter shortest shopping side simple simpler
simplest simply situation size slides slow slower slowest small smaller smallest snippet social song songs space spanish
speech spring staff stage startup statement statements statistics step steps stock stories story strange strategy strong
structure student students stuff style subject subscription subscriptions suggestion suggestions summary summer sunday
suitable sure symptoms table tables talk tax taxes teacher team teams technical ten term terms text thing things thought
thoughts three throughput thursday ticket tickets time times tips title todo together tone tool tools top topic topics
total tour town traffic train translation travel trend trends tricky trip true tuesday tutorial two type types typical
uncle understand unit unread unused unnecessary upcoming update updates urgent use used useful user users using usual
vacation value values vegetarian video videos view visit vulnerabilities vulnerability wait walk wants warning warnings
way ways weather website websites wedding wednesday week weekend weekly weeks weird whole winter word words work working
works workout world worse worst wrong year yearly years young fix explain summarize summarise describe compare rewrite
translate suggest improve rename refactor convert generate create build write tell give show review check remember
remind book order send delete remove add change update plan draft analyze analyse investigate debug optimize optimise
list search look ask invent imagine propose outline brainstorm proofread paraphrase schedule cancel buy
keeps keep crash hangs hang stopped stops broken takes taking gives giving returns throws says shows looks seems crashed
freezes complains refuses happens happened breaks behaves eats uses
`);

const endings =
  /(?:ly|ing|tion|tions|sion|ment|ments|ness|able|ible|ive|ful|ous|ity|ities|ance|ence|ical|ers|ism|ists)$/;

export function isTopic(word: string): boolean {
  return topicWords.has(word) || (word.length > 5 && endings.test(word));
}

const shortened =
  /^[A-Za-z\u00c0-\u1fff\u3040-\ufffd]+'(?:s|t|m|re|ll|ve|d|em)$|^(?:l|d|j|c|n|s|m|t|qu|jusqu|un|dell|nell|all)'[A-Za-z\u00c0-\u1fff\u3040-\ufffd]+$/;

/** `don't`, `what's`, `l'état`, `qu'est-ce`. */
export function isContraction(word: string): boolean {
  const lower = word.toLowerCase();
  return shortened.test(lower) || /^(?:qu'est-ce|aujourd'hui|y'all|o'clock|'em)$/.test(lower);
}
