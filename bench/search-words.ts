/**
 * The words of the search data set: people, places of work, and what happens there, each said in several ways.
 *
 * The wordings of one matter were written as people would say them, before any search was tried on them.
 */
export const firstNames: readonly string[] =
  `Katharina Sebastian Oluwaseun Priyanka Alessandro Margarethe Jonathan Veronika Takahiro Gwendolyn Mohammed Isabella
   Christopher Anastasia Fernando Siobhan Dimitrios Yasmine Bartholomew Ingeborg Rajesh Genevieve Stanislav Marguerite
   Thaddeus Annelise Kwabena Philippa Leonardo Svetlana Archibald Beatrice Hiroshi Constance Emmanuel Francesca Gottfried
   Henrietta Ignatius Josephine Konstantin Lieselotte Maximilian Nathaniel Octavia Penelope Quentin Rosalind Theodora
   Ulrike Valentina Wilhelmina Xiomara Yevgeny Zachary Adelheid Benedikt Clementine Desmond Eleonora`
    .trim()
    .split(/\s+/);

export const lastNames: readonly string[] =
  `Abernathy Bergstrom Castellano Dombrowski Eisenhower Fitzgerald Gallagher Hendriksen Ivanova Jankowski Kowalczyk
   Lindqvist McAllister Nakamura Okonkwo Papadopoulos Quattrocchi Rosenberg Schumacher Thorvaldsen Underhill Vasquez
   Wojciechowski Xanthopoulos Yamaguchi Zimmermann Achterberg Blackwood Cavendish Delacroix Engelhardt Featherstone
   Grimaldi Hawthorne Iglesias Johansson Kirchner Lombardi Montgomery Novotny Oppenheimer Pemberton Radcliffe Santangelo
   Tennyson Ullmann Vandenberg Whitaker Yarborough Zieliński Ashworth Buchanan Carmichael Drummond Ellsworth Farnsworth
   Goldstein Hartmann Isaksen Jacobsen Kingsley Lancaster Mancini Nightingale Osterberg Pettersson Robichaud Strickland
   Thibodeaux Vanderbilt Winchester Zakharov`
    .trim()
    .split(/\s+/);

export const projects: readonly string[] =
  `Falcon Juniper Meridian Cascade Obsidian Larkspur Beacon Tundra Saffron Harbor Quartz Willow Ember Solstice Glacier
   Monarch Pinnacle Ripple Sequoia Tangent Umbra Vertex Wren Zephyr Atlas Bramble Cobalt Drift Echo Foxglove Granite
   Hollow Indigo Jasper Kestrel Lantern Mosaic Nimbus Orchard Pebble`
    .trim()
    .split(/\s+/);

export const companies: readonly string[] =
  `Northwind Initech Globex Hooli Umbrella Vandelay Soylent Wonka Stark Wayne Cyberdyne Tyrell Oscorp Massive Aperture
   Gringotts Duff Acme Bluth Dunder`
    .trim()
    .split(/\s+/);

/** What can be said of a project; each line one matter in several wordings. */
export const matters: readonly (readonly string[])[] = [
  ['the invoice is overdue', 'they still owe us money', 'the bill was never settled', 'payment has not arrived'],
  ['the launch was postponed', 'we go live later than planned', 'the release date slipped', 'shipping moved back'],
  [
    'the server crashed overnight',
    'the machine went down at night',
    'an outage took the site offline',
    'the host stopped responding',
  ],
  [
    'she is leaving the company',
    'her last day is near, she resigned',
    'she handed in her notice',
    'she found a job elsewhere',
  ],
  [
    'we hired a new engineer',
    'a developer joins the team',
    'the programming position is filled',
    'someone was recruited to write code',
  ],
  ['the contract was signed', 'both sides agreed in writing', 'the deal is sealed', 'the agreement has been executed'],
  [
    'the customer is unhappy',
    'the client complained bitterly',
    'they are dissatisfied with us',
    'an angry buyer called',
  ],
  ['the budget was cut', 'we have less to spend', 'funding got reduced', 'finance took away a part of our allowance'],
  ['the flight is booked', 'plane tickets are bought', 'air travel has been arranged', 'seats to fly out are reserved'],
  [
    'the password was leaked',
    'credentials got exposed',
    'someone published our login secret',
    'access data is in the wrong hands',
  ],
  [
    'the lawyer wants changes',
    'counsel asks for amendments',
    'the attorney objects to some clauses',
    'legal insists on edits',
  ],
  [
    'the tests are flaky',
    'checks fail now and then',
    'continuous integration is unreliable',
    'the suite breaks at random',
  ],
  ['the database is slow', 'queries take too long', 'reading records has become sluggish', 'storage latency went up'],
  ['the demo went well', 'our presentation impressed them', 'the showing was a success', 'they loved what we showed'],
  [
    'the office moves to another building',
    'we relocate our workplace',
    'new premises were rented',
    'our desks go to a different address',
  ],
  ['the price went up', 'it costs more now', 'they raised their rates', 'the fee increased'],
  [
    'the supplier is late',
    'parts have not been delivered on time',
    'the vendor missed the delivery',
    'goods are delayed',
  ],
  [
    'the audit found gaps',
    'inspectors discovered shortcomings',
    'the review uncovered weaknesses',
    'examiners listed deficiencies',
  ],
  ['vacation is approved', 'time off was granted', 'the holiday request passed', 'leave has been allowed'],
  [
    'the laptop was stolen',
    'a thief took the notebook',
    'the portable computer is gone',
    'someone robbed us of hardware',
  ],
  ['the meeting was cancelled', 'we will not get together', 'the appointment is off', 'the call does not take place'],
  [
    'the design needs work',
    'the layout must be improved',
    'the mockups are not good enough',
    'the look is unconvincing',
  ],
  [
    'a competitor launched something similar',
    'a rival has copied us',
    'another firm offers the same now',
    'the other side entered our market',
  ],
  [
    'the certificate expired',
    'the TLS credentials ran out',
    'the browser warns of an invalid site',
    'encryption lapsed',
  ],
  [
    'they want a refund',
    'they ask for their money back',
    'reimbursement is demanded',
    'the purchase shall be reversed',
  ],
  ['the bug is fixed', 'the defect has been repaired', 'the error no longer occurs', 'a patch solved the fault'],
  [
    'the backup failed',
    'copies of the data could not be made',
    'nothing was archived last night',
    'the snapshot did not complete',
  ],
  ['sales are growing', 'revenue rises', 'we sell more than before', 'turnover climbs'],
  [
    'the warehouse is full',
    'there is no room left in storage',
    'the depot cannot take more',
    'stock fills every shelf',
  ],
  ['he is ill', 'he caught the flu', 'he called in sick', 'a cold keeps him in bed'],
  [
    'training is mandatory',
    'everybody must attend the course',
    'the lessons are compulsory',
    'the workshop is required of all',
  ],
  [
    'the survey results are in',
    'the questionnaire was evaluated',
    'answers of the poll arrived',
    'we know what respondents think',
  ],
  [
    'the license ran out',
    'our right to use the software ended',
    'the subscription lapsed',
    'the permit is no longer valid',
  ],
  [
    'the translation is ready',
    'the text exists in the other language now',
    'the localised version is done',
    'interpreters finished their work',
  ],
  ['the roof leaks', 'rain drips through the ceiling', 'water comes in from above', 'there is moisture overhead'],
  ['the investor is interested', 'a backer wants to put in capital', 'venture money may come', 'a fund looks at us'],
  [
    'the API changed',
    'the interface is different now',
    'endpoints were altered',
    'our integration broke because of their update',
  ],
  [
    'the car needs repair',
    'the vehicle must go to the garage',
    'a mechanic should look at the van',
    'the engine makes noises',
  ],
  [
    'the conference talk was accepted',
    'we may speak at the event',
    'our lecture is on the programme',
    'organisers took our submission',
  ],
  ['the trial period ends', 'free usage is over soon', 'the evaluation phase closes', 'from then on they have to pay'],
  [
    'the wedding is planned',
    'they are going to marry',
    'the bride sent invitations',
    'a ceremony with the couple is coming',
  ],
  ['the shipment was damaged', 'the parcel arrived broken', 'the goods got hurt on the way', 'the package was crushed'],
  ['they ask for a discount', 'they want it cheaper', 'a rebate is requested', 'they haggle over the amount'],
  ['the deadline is tight', 'there is hardly any time', 'the schedule leaves no slack', 'we must hurry'],
  [
    'the printer is broken',
    'documents cannot be put on paper',
    'the copier jams',
    'the office machine is out of order',
  ],
  [
    'privacy concerns were raised',
    'they worry about personal data',
    'data protection is questioned',
    'confidentiality is a doubt',
  ],
  ['the team is exhausted', 'people are worn out', 'colleagues are close to burnout', 'everybody is tired'],
  [
    'the patent was granted',
    'our invention is protected now',
    'the office accepted the claim',
    'intellectual property is secured',
  ],
  [
    'the election of the board is due',
    'new directors will be chosen',
    'members vote for the committee',
    'the council is appointed anew',
  ],
  ['the cafeteria closes', 'there will be no lunch in the house', 'the canteen shuts', 'staff must eat elsewhere'],
];

/** What people add to a note, of no use to whoever searches. */
export const asides: readonly string[] = [
  'To be discussed on Monday.',
  'No action for now.',
  'I promised to come back to it.',
  'Ask again next week.',
  'This came up over coffee.',
  'Written down in the train.',
  'Nobody else knows yet.',
  'The others were told by phone.',
  'See the thread of last week.',
  'It is not urgent.',
  'It should be decided before the quarter ends.',
  'I have my doubts.',
  'Keep this short in the report.',
  'The numbers are in the sheet.',
  'Remind me after the break.',
  'It was the third time.',
];
